"""How the course's tools start kernels: those of their own Python, and encrypted where Jupyter can do that."""

import zmq
from jupyter_client import AsyncKernelManager, KernelManager
from jupyter_client.kernelspec import KernelSpecManager


def encryption():
    """The manager's setting for encrypted talk with a kernel, or nothing where this Jupyter does not know it.

    Without it a new ipykernel warns in the terminal, at each start, that other users of the machine could listen.
    """
    known = "transport_encryption" in KernelManager.class_trait_names() and zmq.has("curve")
    return {"transport_encryption": "auto"} if known else {}


class OwnKernelManager(AsyncKernelManager):
    """Starts the Python that runs this, also where a kernel of another Python is registered under the same name.

    Without any folder to search, jupyter_client makes the specification from the ipykernel it finds beside itself.
    """

    def __init__(self, **settings):
        own = KernelSpecManager(kernel_dirs=[])
        super().__init__(**{**settings, **encryption(), "kernel_name": "python3", "kernel_spec_manager": own})
