/**
 * A test for names that match a pattern, in which `*` matches any run of characters, including an empty one.
 * Each piece between asterisks is searched once, from the left, so that no name can cause backtracking.
 */
export function compilePattern(pattern: string): (name: string) => boolean {
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop();
  if (tail === undefined) return (name) => name === pattern;
  const pieces = rest.filter((piece) => piece !== '');
  return (name) => {
    const end = name.length - tail.length;
    if (end < head.length || !name.startsWith(head) || !name.endsWith(tail)) return false;
    let at = head.length;
    for (const piece of pieces) {
      const found = name.indexOf(piece, at);
      if (found === -1) return false;
      at = found + piece.length;
    }
    return at <= end;
  };
}
