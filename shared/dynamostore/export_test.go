package dynamostore

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Opened for the tests of keys.
var (
	MsgIDPart      = msgIDPart
	ParseMsgIDPart = parseMsgIDPart
	Part           = part
	PartEnd        = string(partEnd)
)

// Readable is opened for the test of formats that are not there yet.
var Readable = readable

// ItemSize is how many bytes an item has: of its keys, and in all.
type ItemSize struct{ PK, SK, Size int }

// StoredMessage is a message as it is read from its item.
func StoredMessage(m archive.Message) (archive.Message, ItemSize, error) {
	it, err := encodeMessage(m)
	if err != nil {
		return archive.Message{}, ItemSize{}, err
	}
	size := ItemSize{PK: len(keyOf(it, "pk")), SK: len(keyOf(it, "sk"))}
	for name, v := range it {
		size.Size += len(name)
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			size.Size += len(v.Value)
		case *types.AttributeValueMemberB:
			size.Size += len(v.Value)
		case *types.AttributeValueMemberN:
			size.Size += 21 // the most that DynamoDB charges
		}
	}
	back, err := decodeMessage(m.Corp, m.Conversation, it)
	return back, size, err
}
