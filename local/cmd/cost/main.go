// Command cost estimates a month's bill of the archive, line by line, from
// what was measured (docs/measured.json) and prices (docs/prices.json). Both
// files carry their date and say where each number comes from; neither is read
// from AWS.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	f := flag.NewFlagSet("cost", flag.ContinueOnError)
	f.SetOutput(out)
	var u usage
	f.Float64Var(&u.messages, "messages", 1e6, "messages a month, of all companies")
	f.Float64Var(&u.mediaGB, "media-gb", 10, "GB of media a month")
	f.Float64Var(&u.corps, "corps", 10, "companies")
	f.Float64Var(&u.nats, "nats", 1, "NAT gateways with addresses, 1 or 2")
	f.Float64Var(&u.months, "months", 12, "months for which messages have been kept: storage is never given back")
	region := f.String("region", "us-east-1", "region of the prices file")
	root := f.String("root", ".", "`folder` of the repository")
	table := f.Bool("table", false, "print the table for 1, 10 and 100 million messages")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if err := u.check(); err != nil {
		return err
	}
	var p pricesFile
	var m measuredFile
	if err := errors.Join(read(*root+"/docs/prices.json", &p), read(*root+"/docs/measured.json", &m)); err != nil {
		return err
	}
	list, ok := p.Regions[*region]
	if !ok {
		return fmt.Errorf("docs/prices.json has no prices of %s: add a block with the same names", *region)
	}
	b := &book{prices: list.Prices, measured: m.Values}
	if *table {
		err := printTable(out, b, list.Currency)
		return errors.Join(err, b.missing())
	}
	lines := b.bill(u)
	if err := b.missing(); err != nil {
		return err
	}
	sum := 0.0
	fmt.Fprintf(out, "%-34s %14s  %s\n", "a month, "+list.Currency, "", "how much of it")
	for _, l := range lines {
		fmt.Fprintf(out, "%-34s %14.2f  %s\n", l.name, l.amount, l.note)
		sum += l.amount
	}
	fmt.Fprintf(out, "%-34s %14.2f\n", "sum", sum)
	if u.messages > 0 {
		fmt.Fprintf(out, "%-34s %14.2f\n", "per million messages", sum/u.messages*1e6)
	}
	fmt.Fprintf(out, "\nprices of %s, %s. %s\nmeasured %s: %s\n", *region, p.Date, p.Note, m.Date, m.Machine)
	return nil
}

func read(name string, v any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

type pricesFile struct {
	Date    string
	Note    string
	Regions map[string]struct {
		Currency string
		Prices   map[string]float64
	}
}

type measuredFile struct {
	Date    string
	Machine string
	Values  map[string]measurement
}

// measurement is a number and where it comes from: measured, derived, assumed.
type measurement struct {
	Value  float64
	Source string
}

// usage is what is billed for.
type usage struct{ messages, mediaGB, corps, nats, months float64 }

func (u usage) check() error {
	var errs []error
	for name, v := range map[string]float64{"MESSAGES": u.messages, "MEDIA_GB": u.mediaGB, "CORPS": u.corps} {
		if v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			errs = append(errs, fmt.Errorf("%s cannot be %v", name, v))
		}
	}
	if u.corps < 1 {
		errs = append(errs, errors.New("CORPS must be at least 1"))
	}
	if u.nats != 1 && u.nats != 2 {
		errs = append(errs, errors.New("NATS must be 1 or 2"))
	}
	if u.months < 1 {
		errs = append(errs, errors.New("months must be at least 1"))
	}
	return errors.Join(errs...)
}

// tableRows are the usages of the table in docs/cost.md.
var tableRows = []usage{
	{1e6, 20, 10, 1, 12},
	{1e7, 200, 50, 1, 12},
	{1e8, 2000, 200, 2, 12},
}

// printTable prints the bills of tableRows side by side, in Markdown.
func printTable(out io.Writer, b *book, currency string) error {
	var bills [][]line
	for _, u := range tableRows {
		bills = append(bills, b.bill(u))
	}
	fmt.Fprintf(out, "| %s a month |", currency)
	for _, u := range tableRows {
		fmt.Fprintf(out, " %.0f million messages, %.0f GB of media, %.0f companies |", u.messages/1e6, u.mediaGB, u.corps)
	}
	fmt.Fprint(out, "\n|---|---:|---:|---:|\n")
	sums := make([]float64, len(bills))
	for i := range bills[0] {
		fmt.Fprintf(out, "| %s |", bills[0][i].name)
		for j := range bills {
			fmt.Fprintf(out, " %.0f |", bills[j][i].amount)
			sums[j] += bills[j][i].amount
		}
		fmt.Fprintln(out)
	}
	fmt.Fprint(out, "| **sum** |")
	for _, s := range sums {
		fmt.Fprintf(out, " **%.0f** |", s)
	}
	fmt.Fprint(out, "\n| per million messages |")
	for j, u := range tableRows {
		fmt.Fprintf(out, " %.0f |", sums[j]/u.messages*1e6)
	}
	_, err := fmt.Fprintln(out)
	return err
}

// book looks numbers up, and remembers those that are not there.
type book struct {
	prices   map[string]float64
	measured map[string]measurement
	absent   []string
}

func (b *book) price(name string) float64 {
	v, ok := b.prices[name]
	b.note(ok, "prices.json: "+name)
	return v
}

func (b *book) seen(name string) float64 {
	m, ok := b.measured[name]
	b.note(ok, "measured.json: "+name)
	return m.Value
}

func (b *book) note(ok bool, what string) {
	if !ok && !slices.Contains(b.absent, what) {
		b.absent = append(b.absent, what)
	}
}

func (b *book) missing() error {
	if len(b.absent) == 0 {
		return nil
	}
	return fmt.Errorf("docs/ lacks %s", strings.Join(b.absent, ", "))
}
