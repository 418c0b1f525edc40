// Changes a page in place: what stays the same keeps focus, typed text and scroll position.

const KEPT = { DETAILS: ["open"], INPUT: ["value"], TEXTAREA: ["value"] }; // belongs to whoever sits before it

function sync(old, now) {
  const kept = KEPT[old.tagName] ?? [];
  for (const { name } of [...old.attributes])
    if (!now.hasAttribute(name) && !kept.includes(name)) old.removeAttribute(name);
  for (const { name, value } of now.attributes)
    if (old.getAttribute(name) !== value && !kept.includes(name)) old.setAttribute(name, value);
}

function same(old, now) {
  return old.nodeType === now.nodeType && old.nodeName === now.nodeName && (old.id ?? "") === (now.id ?? "");
}

export function patch(old, now) {
  let place = old.firstChild;
  for (const wanted of [...now.childNodes]) {
    if (place !== null && wanted.id && place.id !== wanted.id) {
      // a row that moved is moved, not made anew
      const moved = [...old.children].find((child) => child.id === wanted.id);
      if (moved) {
        old.insertBefore(moved, place);
        place = moved;
      }
    }
    if (place === null || !same(place, wanted)) {
      old.insertBefore(wanted, place);
      continue;
    }
    if (place.nodeType === Node.ELEMENT_NODE) {
      sync(place, wanted);
      patch(place, wanted);
    } else if (place.nodeValue !== wanted.nodeValue) place.nodeValue = wanted.nodeValue;
    place = place.nextSibling;
  }
  while (place !== null) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
}

export function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}
