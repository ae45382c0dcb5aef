package setup

// What tests see of the answers and the bounds.
type (
	AppJSON      = appJSON
	CallbackJSON = callbackJSON
	CorpJSON     = corpJSON
	KeyJSON      = keyJSON
	SetupJSON    = setupJSON
)

const (
	MaxName       = maxName
	MaxSecret     = maxSecret
	MaxPrivateKey = maxPrivateKey
	CountMost     = countMost
)
