package dynamostore

// Opened for the tests of keys.
var (
	MsgIDPart      = msgIDPart
	ParseMsgIDPart = parseMsgIDPart
	Part           = part
	PartEnd        = string(partEnd)
)
