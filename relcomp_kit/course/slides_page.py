"""How slides look, and the script that spreads over several slides what is too tall for one."""

WIDTH, HEIGHT = 1280, 720  # of a slide, in pixels of its own; the browser scales it to the screen
SMALLEST = 20  # pixels of the smallest letters of code and tables; text has 27

STYLE = f"""
html, body {{ margin: 0; height: 100%; background: #fff; color: #1f2328; }}
.reveal {{ font: 27px/1.4 system-ui, "DejaVu Sans", Helvetica, Arial, sans-serif; }}
.reveal .slides {{ text-align: left; }}
.reveal .slides section {{ box-sizing: border-box; width: {WIDTH}px; padding: 28px 56px 40px; }}
.reveal .slides > section.stack {{ padding: 0; }}
.reveal .slides section.ruler {{ display: block !important; position: absolute; visibility: hidden; }}
.reveal h1, .reveal h2, .reveal h3 {{ margin: 0 0 18px; line-height: 1.15; letter-spacing: -.01em; color: #0b3d63; }}
.reveal h1 {{ font-size: 52px; }} .reveal h2 {{ font-size: 40px; }} .reveal h3 {{ font-size: 34px; }}
.reveal .again {{ color: #7b8794; font-size: 24px; margin-bottom: 14px; }}
.reveal p, .reveal ul, .reveal ol, .reveal details {{ margin: 0 0 16px; }}
.reveal li {{ margin-bottom: 8px; }} .reveal ul, .reveal ol {{ padding-left: 36px; }}
.reveal a {{ color: #0550ae; }}
.reveal img {{ display: block; margin: 0 auto 12px; max-width: 100%; max-height: 570px; }}
.reveal img {{ width: 100%; object-fit: contain; }}
.reveal pre {{ margin: 0 0 14px; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 21px; line-height: 1.32;
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; color: #333b44; }}
.reveal pre.code {{ background: #f3f5f7; border-left: 5px solid #9fb3c8; padding: 12px 16px; }}
.reveal code {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .88em; }}
.reveal table {{ border-collapse: collapse; font-size: 23px; line-height: 1.3; margin: 0 0 16px; width: 100%; }}
.reveal th, .reveal td {{ text-align: left; vertical-align: top; padding: 7px 12px; border-bottom: 1px solid #d8dde3; }}
.reveal summary {{ cursor: pointer; color: #0550ae; }}
.reveal details > *:last-child {{ margin-bottom: 0; }}
.reveal .slide-number {{ background: none; color: #7b8794; font-size: 18px; right: auto; left: 12px; }}
"""

FIT = (
    f"const WIDTH = {WIDTH}, HEIGHT = {HEIGHT}, SMALLEST = {SMALLEST};"
    + r"""
const isHeading = (block) => block && /^H[1-6]$/.test(block.tagName);

// A block that is too tall alone becomes pieces: sentences of a text, items, rows, lines.
function pieces(block) {
  const like = (children) => { const part = block.cloneNode(false); part.append(...children); return part; };
  if (block.tagName === "UL" || block.tagName === "OL") {
    return [...block.children].map((item, index) => {
      const part = like([item]);
      if (block.tagName === "OL") part.start = (block.start || 1) + index;
      return part;
    });
  }
  if (block.tagName === "TABLE") {
    const head = block.tHead;
    return [...block.tBodies[0].rows].map((row) => {
      const body = document.createElement("tbody");
      body.append(row);
      return like(head ? [head.cloneNode(true), body] : [body]);
    });
  }
  if (block.tagName === "PRE") {
    const lines = block.innerHTML.replace(/\n$/, "").split("\n");  // no span of code crosses a line
    return lines.map((line) => { const part = like([]); part.innerHTML = line + "\n"; return part; });
  }
  if (block.tagName === "P") {
    const sentences = [[]];
    for (const node of [...block.childNodes]) {
      const texts = node.nodeType === Node.TEXT_NODE ? node.data.split(/(?<=[.:?!]\)?)\s+/) : [node];
      texts.forEach((text, index) => {
        if (index) sentences.push([]);
        sentences[sentences.length - 1].push(typeof text === "string" ? document.createTextNode(text) : text);
      });
    }
    return sentences.map((nodes) => like([...nodes, " "]));
  }
  return [block];
}

// Add a block to a slide, pieces of one block as one again; return what takes it away.
function join(slide, block) {
  const last = slide.lastElementChild;
  const inner = (one) => (one.tagName === "TABLE" ? one.tBodies[0] : one);
  if (!block.origin || !last || last.origin !== block.origin) { slide.append(block); return () => block.remove(); }
  const nodes = [...inner(block).childNodes];
  inner(last).append(...nodes);
  return () => inner(block).append(...nodes);
}

// Replace a slide by as many as its blocks need. The one that is filled is on the page, unseen, to be measured.
function fit(section) {
  const blocks = [...section.children];
  const title = isHeading(blocks[0]) ? blocks[0].textContent : "";
  const hall = document.querySelector(".slides");  // a section inside a hidden one has no height
  const slides = [];
  let slide;
  const next = () => {
    const last = slide && slide.lastElementChild;
    if (slide && (!last || (isHeading(last) && slide.children.length === 1))) return;
    if (slide) slide.remove();
    slide = document.createElement("section");
    slide.className = "ruler";
    hall.append(slide);
    slides.push(slide);
    if (isHeading(last)) { slide.append(last); return; }  // it belongs to what follows
    if (slides.length > 1 && title) {
      const again = document.createElement("h2");
      again.className = "again";
      again.textContent = title;
      slide.append(again);
    }
  };
  const add = (block) => {
    const undo = join(slide, block);
    if (slide.offsetHeight <= HEIGHT) return true;
    undo();
    return false;
  };
  const addSmaller = (block) => {
    if (!/^(PRE|TABLE|DETAILS)$/.test(block.tagName)) return false;
    slide.append(block);
    const size = parseFloat(getComputedStyle(block).fontSize);
    block.remove();
    for (let smaller = size - 1; smaller >= SMALLEST; smaller--) {
      block.style.fontSize = smaller + "px";
      if (add(block)) return true;
    }
    return false;
  };
  section.replaceChildren();
  next();
  blocks.forEach((block, index) => {
    if (add(block)) return;
    next();
    if (add(block) || addSmaller(block)) return;
    for (const piece of pieces(block)) {
      piece.origin = index + 1;
      if (add(piece)) continue;
      next();
      join(slide, piece);
    }
  });
  slides.forEach((one) => one.removeAttribute("class"));
  section.replaceWith(...slides);
}

window.addEventListener("load", async () => {
  await Promise.all([...document.images].map((image) => image.decode().catch(() => null)));
  for (const answer of document.querySelectorAll("details")) answer.open = true;  // there is room for them
  for (const section of [...document.querySelectorAll(".slides > section > section")]) fit(section);
  for (const answer of document.querySelectorAll("details")) answer.open = false;
  await Reveal.initialize({
    width: WIDTH, height: HEIGHT, margin: 0, center: false, hash: true, slideNumber: "c/t", transition: "none",
    controlsTutorial: false, navigationMode: "linear",
  });
  document.body.dataset.ready = "yes";
});
"""
)
