"""What a command, a timer and a page all call: a run as a function, who runs it and the clock passed in.

Each takes the open store, does its work, records it, and returns what came of it as values; nothing is printed here.
"""

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[], datetime]
"""Tells the time, in UTC."""
