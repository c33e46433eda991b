"""A page that runs a model in the browser.

    with DemoServer("exported/my-run", port=8000) as server:
        print(server.address)
        server.serve_forever()

The browser crops, resizes and runs the .tflite file with LiteRT.js. Python
serves the files, finds the faces, and runs the model if the browser cannot.
`write_page` writes a folder that works without Python.
"""

from kerafer.demo.litert_js import find_litert_js, install_litert_js
from kerafer.demo.page import write_page
from kerafer.demo.server import DemoServer

__all__ = ["DemoServer", "find_litert_js", "install_litert_js", "write_page"]
