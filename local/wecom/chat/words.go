package chat

import (
	"math/rand/v2"
	"strings"
)

// The phrases are typical of chats between the staff and the customers of a school
// or shop.
var (
	openings = []string{
		"您好，", "老师好，", "在吗？", "早上好！", "打扰一下，", "亲，", "收到，", "好的，", "不好意思刚看到，",
		"辛苦了，", "嗯嗯，", "刚刚开完会，", "上次说的那件事，", "跟您确认一下：", "补充一点，",
	}
	subjects = []string{
		"周六下午的试听课", "您下单的两箱苹果", "孩子这周的数学作业", "这批样品", "合同的第三条", "新版报价单",
		"秋季班的名额", "快递单号", "开票信息", "本月的续费优惠", "直播回放", "系统升级通知", "明天的家长会",
		"退款申请", "物流那边", "体验装", "英语口语测评的结果", "小组群里的资料",
	}
	predicates = []string{
		"已经安排好了", "还需要您确认一下", "可能要推迟到下周三", "我让同事马上处理", "今天下班前发给您",
		"比上次便宜了一百二十元", "需要提前一天预约", "目前只剩最后三个", "我先帮您登记上", "财务说三个工作日内到账",
		"您看什么时间方便？", "有问题随时联系我", "和之前说的一样", "麻烦把手机号后四位发我", "请以群公告为准",
		"老师说进步很大", "要等仓库盘点完才知道", "不影响正常使用", "可以分三期付款", "我再核对一遍告诉您",
	}
	fillers = []string{"[微笑]", "[OK]", "[抱拳]", "😊", "👍", "～", "哈哈", "谢谢！", "[玫瑰]", "ok", "12:30", "A-203"}
	stops   = []string{"。", "，", "！", "；", "。\n", "……"}
)

// smallTalk invents a Chinese text of 100 to 1000 bytes. Most texts are short.
func smallTalk(r *rand.Rand) string {
	want := 100 + int(r.ExpFloat64()*120)
	want = min(want, 900)
	var b strings.Builder
	b.WriteString(pick(r, openings))
	for b.Len() < want {
		b.WriteString(pick(r, subjects))
		b.WriteString(pick(r, predicates))
		if r.IntN(5) == 0 {
			b.WriteString(pick(r, fillers))
		}
		b.WriteString(pick(r, stops))
	}
	return b.String()
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }
