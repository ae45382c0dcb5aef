package console

import "io/fs"

// NewOf makes the handlers of other files than the embedded ones.
func NewOf(files fs.FS, cfg Config) (*Handlers, error) { return newHandlers(files, cfg) }
