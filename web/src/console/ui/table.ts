/** A column of a table, with rows of type T. */
export interface Column<T> {
  /** The name of the slot that draws a cell, for a cell that is more than a text. */
  key: string
  label: string
  text?: (row: T) => string
  /** Numbers stand at the end of their column. */
  number?: boolean
  /** Sentences, which need room. */
  wide?: boolean
  /** The cell names its row. */
  header?: boolean
}
