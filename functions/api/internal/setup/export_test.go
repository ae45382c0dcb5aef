package setup

// What tests see of the answers and the bounds.
type (
	AppJSON      = appJSON
	CallbackJSON = callbackJSON
	CorpJSON     = corpJSON
	KeyJSON      = keyJSON
	SetupJSON    = setupJSON
	StepState    = stepState
)

const (
	Todo    = todo
	Waiting = waiting
	Done    = done
	Redo    = redo

	MaxName       = maxName
	MaxSecret     = maxSecret
	MaxPrivateKey = maxPrivateKey
	CountMost     = countMost
)
