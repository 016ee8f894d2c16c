"""The recurrent GAN in PyTorch: networks, losses, data, and the loop that trains them. Needs the training extra."""
