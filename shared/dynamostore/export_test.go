package dynamostore

// Opened for the tests of keys.
var (
	MsgIDPart      = msgIDPart
	ParseMsgIDPart = parseMsgIDPart
	Part           = part
	PartEnd        = string(partEnd)
)

// Readable is opened for the test of formats that are not there yet.
var Readable = readable
