package message_test

import (
	"encoding/json"
	"fmt"

	"github.com/yunduo-scrm/archive/shared/message"
)

func ExampleRead() {
	v := message.Read([]byte(`{"msgid":"m1","action":"send","from":"lin.hua","tolist":["0042"],"roomid":"",
		"msgtime":1767225712072,"msgtype":"mixed","mixed":{"item":[
			{"type":"text","content":"{\"content\":\"看图\"}"},
			{"type":"image","content":"{\"md5sum\":\"\",\"filesize\":13177,\"sdkfileid\":\"FID\"}"}]}}`))
	parts, _ := json.Marshal(v.Parts)
	fmt.Println(v.Kind, v.Fields.From, v.Fields.Time)
	fmt.Println(v.Text)
	fmt.Println(string(parts))
	fmt.Println(v.Files[0].SDKFileID, v.Files[0].Size, v.Files[0].Path)
	// Output:
	// mixed lin.hua 1767225712072
	// 看图
	// [图片]
	// [{"type":"text","text":"看图"},{"type":"image","file":0}]
	// FID 13177 [1]
}
