"""A page on this machine where the model runs in the browser.

    server = DemoServer("exported/my-run", port=8000)
    with server:
        print(server.address)
        server.serve_forever()

The browser crops, resizes and runs the .tflite file with LiteRT.js; Python
serves the files, finds the faces, and runs the model where the browser can't.
`write_page` writes a folder that needs no Python: browsers find the faces too.
"""

from kerafer.demo.demo_server import DemoServer
from kerafer.demo.litert_js import find_litert_js, install_litert_js
from kerafer.demo.static_page import write_page

__all__ = ["DemoServer", "find_litert_js", "install_litert_js", "write_page"]
