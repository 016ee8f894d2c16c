"""Programs that call vgan: translate, call, translate back."""
