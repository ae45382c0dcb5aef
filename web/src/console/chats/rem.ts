/** The pixels of a length that grows with the reader's size of text. */
export const rem = (n: number) => n * Number.parseFloat(getComputedStyle(document.documentElement).fontSize)
