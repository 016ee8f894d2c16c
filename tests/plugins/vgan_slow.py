"""Slow, but good: takes its time to be imported and to answer."""

import time

from vgan_plugin import Check, hookimpl

time.sleep(0.2)


@hookimpl
def vgan_doctor_checks():
    time.sleep(0.1)
    return [Check("slow", "note", "took its time", "wait")]
