package dynamostore

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// These are exported for the tests of keys.
var (
	MsgIDPart      = msgIDPart
	ParseMsgIDPart = parseMsgIDPart
	Part           = part
	PartEnd        = string(partEnd)
)

// Readable is exported for the test of future formats.
var Readable = readable

// ItemSize is the number of bytes of an item's keys and of the whole item.
type ItemSize struct{ PK, SK, Size int }

// StoredMessage makes the item of a message and reads the message from it.
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
			size.Size += 21 // the most that DynamoDB counts for a number
		}
	}
	back, err := decodeMessage(m.Corp, m.Conversation, it)
	return back, size, err
}
