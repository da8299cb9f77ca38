"""What the workstation and the device must agree on; standard library only.

Everything that crosses from one side to the other, in a message or in a file, is a frozen
dataclass of this package and passes through `codec`.
"""

__version__ = "0.1.0"
