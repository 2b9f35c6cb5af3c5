"""The button "Copy as picture" of explorer, inspector and stepper: by mouse to the clipboard, by keys to a file."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

CELLS = (
    """
import elekit as ele
artifact = ele.load("molecules7")
psi, data = artifact.psi, ele.datasets.load("molecules7", inputs="description").test.sample(200)
ele.widgets.explore(psi, data, color="nodes", height=300)""",
    "ele.widgets.inspect_loss(psi, 'CC1CC1O')",
    """
config = ele.DecodeConfig("gradient", gradient=ele.GradientConfig(iterations=5))
ele.widgets.step_through(ele.decode(psi, psi.embed(data.graphs[0]), config=config, record=True).traces)""",
)
COPIED = """async () => {
  const [item] = await navigator.clipboard.read();
  const bytes = new Uint8Array(await (await item.getType('image/png')).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}"""
FORBID = """() => { navigator.clipboard.write = () => Promise.reject(new DOMException('no', 'NotAllowedError')); }"""


@pytest.mark.browser
def test_what_is_shown_is_copied_or_downloaded(lab):
    page = lab.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.run(*CELLS, name="copy_picture")
    copied = {}
    for kind in ("explorer", "inspector", "stepper"):
        button = page.get_by_role("button", name=f"Copy the {kind} as a picture")
        button.wait_for()
        page.wait_for_timeout(700)
        button.click()
        answer(button).get_by_text("Copied").wait_for()
        copied[kind] = picture(base64.b64decode(page.evaluate(COPIED)))
    page.evaluate(FORBID)
    for kind, before in copied.items():
        button = page.get_by_role("button", name=f"Copy the {kind} as a picture")
        button.focus()
        with page.expect_download() as waiting:
            page.keyboard.press("Enter")
        answer(button).get_by_text("Copying is not allowed here, so the picture was downloaded.").wait_for()
        assert waiting.value.suggested_filename == f"{kind}.png"
        with open(waiting.value.path(), "rb") as file:
            assert picture(file.read()).shape == before.shape


def answer(button):
    """What the widget says beside the button."""
    return button.locator("xpath=..")


def picture(png: bytes) -> np.ndarray:
    """Pixels of a picture, which has to be large and of many colors."""
    shown = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert min(shown.shape[:2]) > 300
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 50
    return shown
