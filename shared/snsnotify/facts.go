package snsnotify

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

type fact struct{ nameZH, valueZH, name, value string }

// facts lists the facts that the general text about the health lacks.
func facts(c watch.Change) []fact {
	all := []fact{{
		"状态", fmt.Sprintf("%s → %s，%s", c.From, c.To, clock(c.At)),
		"health", fmt.Sprintf("%s -> %s, %s", c.From, c.To, c.At.UTC().Format(time.RFC3339)),
	}}
	if c.To == watch.Off {
		return all
	}
	all = append(all, fact{
		"剩余时间", fmt.Sprintf("%.1f 小时（共 120 小时）", c.Left.Hours()),
		"hours left", fmt.Sprintf("%.1f of 120", c.Left.Hours()),
	})
	if c.Trouble != nil {
		all = append(all, factsOf(*c.Trouble)...)
	}
	if len(c.SetAside) == 0 {
		return all
	}
	atLeast, orMore := "", ""
	if c.MoreSetAside {
		atLeast, orMore = "至少 ", " or more"
	}
	why, versions := reasonsOf(c.SetAside)
	all = append(all, fact{
		"搁置的记录", fmt.Sprintf("%s%d 条，从 seq %d 起（%s）", atLeast, len(c.SetAside), c.SetAside[0].Seq, why),
		"set aside", fmt.Sprintf("%d%s, from seq %d (%s)", len(c.SetAside), orMore, c.SetAside[0].Seq, why),
	})
	if len(versions) > 0 {
		zh, en := someOf(versions)
		all = append(all, fact{"缺少密钥的版本", zh, "no key for version", en})
	}
	return all
}

func factsOf(t archive.Trouble) []fact {
	levelZH, level := "错误码", "errcode"
	if t.Native {
		levelZH, level = "SDK 错误码", "return code"
	}
	all := []fact{{
		"原因", fmt.Sprintf("%s，%s，%s %d，始于 %s", t.Cause, t.Op, levelZH, t.Code, clock(t.Since)),
		"cause", fmt.Sprintf("%s, %s %s %d, since %s", t.Cause, t.Op, level, t.Code, t.Since.UTC().Format(time.RFC3339)),
	}}
	if t.FromIP != "" {
		all = append(all, fact{"企业微信识别到的来源 IP 地址", t.FromIP, "address", t.FromIP + ", as seen by WeCom"})
	}
	if step := t.Cause.Step(); step != 0 {
		all = append(all, fact{"设置步骤", fmt.Sprintf("第 %d 步", step), "set-up step", strconv.Itoa(step)})
	}
	return all
}

// reasonsOf counts records by reason, and lists the versions without a key.
func reasonsOf(records []archive.SetAside) (why string, versions []uint32) {
	reasons := map[string]int{}
	for _, r := range records {
		reasons[string(r.Reason)]++
		if r.Reason == archive.ReasonNoKey && !slices.Contains(versions, r.KeyVersion) {
			versions = append(versions, r.KeyVersion)
		}
	}
	var counts []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		counts = append(counts, fmt.Sprintf("%s: %d", reason, reasons[reason]))
	}
	slices.Sort(versions)
	return strings.Join(counts, ", "), versions
}

// someOf lists the first few versions: a company may lack hundreds, and the
// message may be about many companies.
func someOf(versions []uint32) (zh, en string) {
	const few = 10
	list := strings.Fields(strings.Trim(fmt.Sprint(versions[:min(len(versions), few)]), "[]"))
	zh, en = strings.Join(list, "、"), strings.Join(list, " ")
	if more := len(versions) - few; more > 0 {
		zh, en = fmt.Sprintf("%s，另有 %d 个", zh, more), fmt.Sprintf("%s and %d more", en, more)
	}
	return zh, en
}
