"""The look of the page: readable from the last row at 1280x720, and safe for colour-blind eyes."""

import html

from relcomp_kit.demonstrator.render import percent, size_of
from relcomp_kit.demonstrator.state import Answer

STYLE = """<style>
body[data-voila] :is(.jp-Cell, .jp-OutputArea-output, .jp-OutputArea-child, .lm-BoxPanel-child) {
  padding: 0 !important }
body[data-voila] :is(.jp-Cell, .jp-Cell-outputWrapper) { margin: 0 !important }
.relcomp { --jp-widgets-font-size: 15px; --jp-widgets-inline-height: 26px; --jp-widgets-inline-label-width: 74px;
  --jp-widgets-inline-margin: 1px; --jp-widgets-inline-width: 278px; --jp-widgets-margin: 1px; color: #222;
  font-family: sans-serif; padding: 6px 10px 0; background: white }
.relcomp * { box-sizing: border-box }
.relcomp h2 { font-size: 15px; margin: 3px 0 1px; font-weight: 700; line-height: 17px }
.relcomp .widget-label { color: #222 }
.relcomp .widget-html-content { line-height: 18px; font-size: 15px }
.relcomp .left { width: 290px; min-width: 290px; overflow: hidden } .relcomp .right { flex: 1; min-width: 0 }
.relcomp .left .path { padding-left: 6px; border-left: 3px solid #a6a6a6; margin-bottom: 4px }
.relcomp .pair { width: 278px } .relcomp .pair .widget-text { width: 130px }
.relcomp .net .widget-label { width: 34px; flex: none } .relcomp .net select { font-size: 13px }
.relcomp .left .pair .widget-dropdown { flex: 1 1 0; width: 0 }
.relcomp .pair .widget-dropdown .widget-label { width: 70px; flex: none }
.relcomp .pair select { min-width: 0 }
.relcomp .path :is(.widget-dropdown, .widget-slider) { width: 268px } .relcomp .widget-upload { width: 278px }
.relcomp .chips { display: flex; flex-flow: row wrap; max-height: 120px; overflow: auto }
.relcomp .chips button { width: auto; padding: 0 6px; margin: 1px; height: 26px; line-height: 24px; font-size: 14px;
  background: #fff; border: 1px solid #888; color: #222 }
.relcomp .chips button.mod-active { background: #222; color: #fff; box-shadow: none }
.relcomp .views .widget-toggle-buttons, .relcomp .views { display: flex; flex-flow: row wrap; width: 100% }
.relcomp .views button { width: auto; flex: none; padding: 0 16px; font-size: 16px; height: 32px; line-height: 30px;
  margin: 0 3px 1px 0 }
.relcomp .views button.mod-active { background: #2166ac; color: #fff }
.relcomp :is(button, input, textarea, select, .noUi-handle):focus-visible {
  outline: 3px solid #e08214 !important; outline-offset: 1px }
.relcomp .tools { flex-flow: row wrap; align-items: center; gap: 4px; min-height: 32px }
.relcomp .tools :is(.widget-dropdown, .widget-text, .widget-checkbox, button) { width: auto; flex: none }
.relcomp .tools .widget-label { width: auto; padding: 0 6px; flex: none }
.relcomp .tools .widget-slider { width: 270px }
.relcomp .tools .widget-text input { width: 80px } .relcomp .tools select { min-width: 60px }
.relcomp .tools .mod-primary { background: #2166ac; color: #fff; font-weight: 700; padding: 0 20px }
.relcomp .shown { position: relative; width: 100% } .relcomp.working .shown { min-height: 200px }
.relcomp .picture { width: 100%; object-fit: contain; object-position: left top; align-self: flex-start }
.relcomp .said { min-height: 28px; align-items: flex-start; gap: 8px }
.relcomp .message { flex: 0 1 auto; min-height: 26px }
.relcomp .message .widget-html-content { font-size: 17px; line-height: 24px }
.relcomp .message .error { background: #fdecea; border-left: 6px solid #c0392b; padding: 0 10px }
.relcomp .message .note { background: #e8f1fa; border-left: 6px solid #2166ac; padding: 0 10px }
.relcomp .message .busy { font-weight: 700; color: #2166ac }
.relcomp .stop { display: none; width: auto; padding: 0 20px; background: #c0392b; color: #fff; font-weight: 700 }
.relcomp.working .stop { display: block }
.relcomp.working .said, .relcomp.working .shown::after { animation: appear 0s linear 0.3s both }
.relcomp.working .said::before { content: ""; flex: none; width: 14px; height: 14px; margin: 6px 0 0 2px;
  border: 3px solid #2166ac; border-top-color: transparent; border-radius: 50%; animation: turn 1s linear infinite }
.relcomp.working .shown > * { animation: fade 0s linear 0.3s both }
.relcomp.working .shown::after { content: "The new picture is not there yet"; position: absolute;
  left: 50%; top: 40%; transform: translate(-50%, -50%); width: max-content; max-width: 90%; padding: 8px 20px;
  background: #2166ac; color: #fff; font-size: 20px; font-weight: 700 }
@keyframes appear { from { opacity: 0 } to { opacity: 1 } }
@keyframes fade { to { opacity: 0.25; filter: grayscale(1) } }
@keyframes turn { to { transform: rotate(360deg) } }
.relcomp .line textarea { display: block; width: 100%; resize: none; font: 13px/15px monospace; border: 1px solid #bbb;
  padding: 1px 6px; color: #222; background: #f6f6f6 }
.relcomp pre { font: 16px/24px monospace; white-space: pre-wrap; word-break: normal; margin: 8px 0 0 }
.relcomp .command { flex: 1; height: 32px } .relcomp .command input { font: 17px monospace; height: 32px }
.relcomp .help { width: 90px; height: 32px }
.relcomp .table { max-height: max(500px, calc(100vh - 180px)); max-width: 100%; overflow: auto }
.relcomp .unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
@media (max-width: 800px) {
  .relcomp .main { flex-flow: column } .relcomp .left { width: 100%; min-width: 0 }
  .relcomp .right { order: -1; flex: none; width: 100% }
  .relcomp .left :is(.widget-dropdown, .widget-slider, .widget-upload, .pair) { width: calc(100% - 2px) }
  .relcomp .left .group { width: 100% } .relcomp .command input { font-size: 14px }
  .relcomp .shown { overflow-x: auto } .relcomp .picture { width: 720px; max-width: none }
  .relcomp .views button { padding: 0 10px } .relcomp .help { width: 70px }
  .relcomp .tools .widget-dropdown { flex: 0 1 auto; max-width: 100% }
  .relcomp .chips { max-height: none } .relcomp .line { margin-bottom: 10px }
}
</style>"""


def spoken(found: Answer) -> str:
    """Return what the picture of an answer says, as HTML text for those who cannot see it."""
    lines = [found.title]
    for net in (found.net, *found.experts):
        parts = [f"{percent(net.parameters)} of the parameters", f"{percent(net.macs)} of the multiply-adds"]
        parts.append(f"file {size_of(net.bytes)}")
        if net.latency is not None:
            parts.append(f"{1000 * net.latency:.0f} ms an image")
        parts += [f"IoU {name} {percent(value)}" for name, value in net.iou.items()]
        parts += [f"IoU {name} {percent(value)} on {found.state.test} scenes" for name, value in net.test_iou.items()]
        parts.append(f"{percent(net.agreement)} of the pixels as by the super-net")
        lines.append(f"{net.name}: {', '.join(parts)}")
    lines += found.notes
    return '<div role="status">' + "".join(f"<p>{html.escape(line)}</p>" for line in lines) + "</div>"
