package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// columns holds the usage of each column of the tables.
var columns = []usage{
	{messages: 1e6, mediaGB: 20, corps: 10, nats: 1, months: 12},
	{messages: 1e7, mediaGB: 200, corps: 50, nats: 1, months: 12, infrequent: true},
	{messages: 1e8, mediaGB: 2000, corps: 200, nats: 2, months: 12, infrequent: true},
}

// The regions of the tables.
const global, china = "us-east-1", "cn-north-1"

// documents computes the tables of each document.
func documents(in inputs) (map[string][]string, error) {
	var parts [3]string
	bills, books := make(map[string][][]line), make(map[string]*book)
	for i, region := range []string{global, china} {
		b, err := in.book(region)
		if err != nil {
			return nil, err
		}
		books[region] = b
		for _, u := range columns {
			bills[region] = append(bills[region], b.bill(u))
		}
		if err := b.missing(); err != nil {
			return nil, err
		}
		parts[i] = longTable(b, bills[region])
	}
	parts[2] = sources(in.measured.Values)
	floors, err := in.floorTable()
	if err != nil {
		return nil, err
	}
	return map[string][]string{
		"docs/cost.md": append([]string{
			floors, messagesTable(books[global], books[china]), pollTable(books[global], books[china]),
		}, parts[:]...),
		"README.md":       {shortTable("en", bills)},
		"README.zh-CN.md": {shortTable("zh", bills)},
	}, nil
}

// These marks enclose each computed table of a document.
const begin, end = "<!-- make cost -->\n\n", "\n<!-- end -->\n"

// writeDocuments writes the tables of every document. After a crash some
// documents are new; run the command again.
func writeDocuments(root string, in inputs) error {
	all, err := documents(in)
	if err != nil {
		return err
	}
	for name, parts := range all {
		text, err := os.ReadFile(root + "/" + name)
		if err != nil {
			return err
		}
		written, err := fill(string(text), parts)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(root+"/"+name, []byte(written), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func fill(text string, parts []string) (string, error) {
	pieces := strings.Split(text, begin)
	if len(pieces) != len(parts)+1 {
		return "", fmt.Errorf("got %d marks for %d tables", len(pieces)-1, len(parts))
	}
	for i, part := range parts {
		_, after, ok := strings.Cut(pieces[i+1], end)
		if !ok {
			return "", errors.New("end mark of a table missing")
		}
		pieces[i+1] = part + end + after
	}
	return strings.Join(pieces, begin), nil
}

// longTable shows every line of the bills, with one column for each usage.
func longTable(b *book, bills [][]line) string {
	var out strings.Builder
	fmt.Fprintf(&out, "| %s a month |", b.currency)
	for _, u := range columns {
		fmt.Fprintf(&out, " %.0f million messages, %.0f GB of media, %.0f companies |", u.messages/1e6, u.mediaGB, u.corps)
	}
	out.WriteString("\n|---|---:|---:|---:|\n")
	for i, l := range bills[0] {
		row(&out, l.name, func(j int) float64 { return bills[j][i].amount })
	}
	row(&out, "**sum**", func(j int) float64 { return sum(bills[j]) })
	row(&out, "the sum with `MessagesClass=standard`, the default", func(j int) float64 {
		u := columns[j]
		u.infrequent = false
		return sum(b.bill(u))
	})
	row(&out, "per million messages", func(j int) float64 { return sum(bills[j]) / columns[j].messages * 1e6 })
	return out.String()
}

// floor is the smallest installation: a company with some thousand messages a
// month, all parameters at their cheapest, a year of messages in storage.
var floor = usage{messages: 20_000, mediaGB: 1, corps: 1, nats: 1, months: 12, oneKey: true, essential: true}

// floorRow is an installation, or what a choice adds to the smallest one.
type floorRow struct {
	name    string
	details string // may have code in backticks
	cost    float64
	adds    bool
}

// floorRows are the smallest installation, and what each choice adds.
func floorRows(b *book) []floorRow {
	cost := func(change func(*usage)) float64 {
		u := floor
		change(&u)
		return sum(b.bill(u))
	}
	base := cost(func(*usage) {})
	rows := []floorRow{
		{name: "the smallest installation", details: ": 1 company, 20,000 messages, 1 GB of media", cost: base},
		{name: "the same in a network that exists", details: " (`VpcId`, `SubnetIds`, `TrustedIps`)", cost: cost(func(u *usage) { u.nats = 0 })},
	}
	for _, c := range []struct {
		adds   string
		change func(*usage)
	}{
		{"a second NAT gateway and address (`NatZones=two`)", func(u *usage) { u.nats = 2 }},
		{"four KMS keys (`Keys=each`, the default)", func(u *usage) { u.oneKey = false }},
		{"all alarms (`Alarms=all`, the default)", func(u *usage) { u.essential = false }},
		{"a second company of the same size", func(u *usage) { u.corps, u.messages, u.mediaGB = 2, 2*u.messages, 2*u.mediaGB }},
	} {
		rows = append(rows, floorRow{details: c.adds, cost: cost(c.change) - base, adds: true})
	}
	return rows
}

// floorTable shows the floor in us-east-1, and what it begins with in the other
// regions.
func (in inputs) floorTable() (string, error) {
	var out strings.Builder
	b, err := in.book(global)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&out, "| %s a month | |\n|---|---:|\n", b.currency)
	for _, r := range floorRows(b) {
		if r.adds {
			fmt.Fprintf(&out, "| %s | + %.1f |\n", r.details, r.cost)
		} else {
			fmt.Fprintf(&out, "| **%s**%s | **%.1f** |\n", r.name, r.details, r.cost)
		}
	}
	for _, region := range slices.Sorted(maps.Keys(in.prices.Regions)) {
		if region == global {
			continue
		}
		if b, err = in.book(region); err != nil {
			return "", err
		}
		rows := floorRows(b)
		fmt.Fprintf(&out, "| the first two rows in `%s`, %s | %.1f, %.1f |\n", region, b.currency, rows[0].cost, rows[1].cost)
		if err := b.missing(); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

// messagesTable shows what the parameters of the table of messages save, for the
// messages of each column.
func messagesTable(books ...*book) string {
	var out strings.Builder
	out.WriteString("| messages a month |")
	for _, u := range columns {
		fmt.Fprintf(&out, " %.0f million |", u.messages/1e6)
	}
	out.WriteString("\n|---|---:|---:|---:|\n")
	for _, b := range books {
		saved := func(u usage, months float64, cheaper func(*usage)) float64 {
			u.infrequent, u.months = false, months
			base := sum(b.bill(u))
			cheaper(&u)
			return base - sum(b.bill(u))
		}
		infrequent, unsaved := func(u *usage) { u.infrequent = true }, func(u *usage) { u.unsaved = true }
		row(&out, fmt.Sprintf("%s: month from which `MessagesClass=infrequent` is cheaper", b.currency), func(j int) float64 {
			months := 1.0
			for saved(columns[j], months, infrequent) <= 0 {
				months++
			}
			return months
		})
		for _, months := range []float64{12, 36} {
			row(&out, fmt.Sprintf("%s saved by it in month %.0f", b.currency, months), func(j int) float64 { return saved(columns[j], months, infrequent) })
		}
		row(&out, fmt.Sprintf("%s saved by `MessagesBackup=none` in month 12", b.currency), func(j int) float64 { return saved(columns[j], 12, unsaved) })
	}
	return out.String()
}

// pollTable shows what a visible chat page costs that asks at a constant pace.
func pollTable(books ...*book) string {
	var out strings.Builder
	fmt.Fprintf(&out, "| one visible chat page, %.0f hours a month | requests |", officeHours)
	for _, b := range books {
		fmt.Fprintf(&out, " %s |", b.currency)
	}
	out.WriteString("\n|---|" + strings.Repeat("---:|", len(books)+1) + "\n")
	for _, seconds := range []float64{15, 60} {
		polls := officeHours * 3600 / seconds
		fmt.Fprintf(&out, "| every %.0f seconds | %.0f |", seconds, polls)
		for _, b := range books {
			fmt.Fprintf(&out, " %.2f |", polls*b.poll(b.class(false)))
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// shortTable shows one row for each group of lines.
func shortTable(language string, bills map[string][][]line) string {
	heading, total, totalChina := "USD a month", "**sum**", "**the same in Beijing, CNY**"
	column := func(u usage) string {
		return fmt.Sprintf("%.0f million messages, %.0f GB of media a month, %.0f companies", u.messages/1e6, u.mediaGB, u.corps)
	}
	if language == "zh" {
		heading, total, totalChina = "美元/月", "**合计**", "**同等用量在北京区域的费用（人民币元/月）**"
		column = func(u usage) string {
			messages := fmt.Sprintf("%.0f 万条", u.messages/1e4)
			if u.messages >= 1e8 {
				messages = fmt.Sprintf("%.0f 亿条", u.messages/1e8)
			}
			return fmt.Sprintf("每月 %s消息、%.0f GB 媒体文件，%.0f 家企业", messages, u.mediaGB, u.corps)
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "| %s |", heading)
	for _, u := range columns {
		fmt.Fprintf(&out, " %s |", column(u))
	}
	out.WriteString("\n|---|---:|---:|---:|\n")
	for g, name := range groupNames[language] {
		row(&out, name, func(j int) float64 {
			var lines []line
			for _, l := range bills[global][j] {
				if l.group == group(g) {
					lines = append(lines, l)
				}
			}
			return sum(lines)
		})
	}
	row(&out, total, func(j int) float64 { return sum(bills[global][j]) })
	row(&out, totalChina, func(j int) float64 { return sum(bills[china][j]) })
	return out.String()
}

func row(out *strings.Builder, name string, amount func(j int) float64) {
	fmt.Fprintf(out, "| %s |", name)
	for j := range columns {
		if strings.HasPrefix(name, "**") {
			fmt.Fprintf(out, " **%.0f** |", amount(j))
		} else {
			fmt.Fprintf(out, " %.0f |", amount(j))
		}
	}
	out.WriteByte('\n')
}

func sum(lines []line) (total float64) {
	for _, l := range lines {
		total += l.amount
	}
	return total
}

// sources lists the names of the numbers by their source.
func sources(measured map[string]number) string {
	var out strings.Builder
	for _, s := range []struct{ source, text string }{
		{"measured (make bench)", "by `make bench`"}, {"measured:", "seen otherwise"}, {"derived", "derived"}, {"assumed", "assumed"},
	} {
		if names := named(measured, s.source); len(names) > 0 {
			fmt.Fprintf(&out, "- %s: `%s`\n", s.text, strings.Join(names, "`, `"))
		}
	}
	return out.String()
}
