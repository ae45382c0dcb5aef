package proof

// What tests see of the answers and the bounds.
type (
	GapJSON          = gapJSON
	LinkJSON         = linkJSON
	ReadingJSON      = readingJSON
	RowJSON          = rowJSON
	SetAsideJSON     = setAsideJSON
	StatementJSON    = statementJSON
	StatusJSON       = statusJSON
	TypeJSON         = typeJSON
	UnknownFieldJSON = unknownFieldJSON
)

const (
	CountMost    = countMost
	FilesCounted = filesCounted
	RowsAtOnce   = rowsAtOnce
	RowsMost     = rowsMost
	Settled      = settled
)
