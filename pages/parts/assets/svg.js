const inside = (root) => [...root.querySelectorAll('*')].flatMap((part) => part.shadowRoot ?? []);
const create = (name) => document.createElementNS('http://www.w3.org/2000/svg', name);

// On the page the title stands above the chart, and a timeline is as wide as its place: here a frame gives both.
function framed(svg) {
  const box = svg.getBoundingClientRect(), frame = create('svg'), title = create('text'), copy = svg.cloneNode(true);
  const size = { width: box.width, height: box.height };
  for (const [name, value] of Object.entries({ x: 60, y: 40, overflow: 'visible', ...size })) copy.setAttribute(name, value);
  frame.setAttribute('width', box.width + 90);
  frame.setAttribute('height', box.height + 60);
  frame.setAttribute('font-family', 'sans-serif');
  frame.setAttribute('font-size', '12');
  title.setAttribute('x', 12);
  title.setAttribute('y', 20);
  title.setAttribute('fill', 'currentColor');
  title.textContent = svg.closest('[aria-label]').getAttribute('aria-label');
  frame.append(title, copy);
  frame.style.color = getComputedStyle(svg).color;
  return frame;
}

export default function (component) {
  component.parentElement.querySelector('button').onclick = () => {
    const roots = [document, ...inside(document)];
    roots.flatMap((root) => [...root.querySelectorAll('svg.marks')]).map(framed).forEach((copy, i) => {
      copy.style.background = getComputedStyle(document.querySelector('.stApp')).backgroundColor;
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: 'image/svg+xml' }));
      link.download = component.data.name + '-' + (i + 1) + '.svg';
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  };
}
