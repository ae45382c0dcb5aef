// Command cost estimates the archive's bill of a month, line by line. It uses
// measurements (docs/measured.json), prices (docs/prices.json) and the memory of
// the functions (template.yaml). The two JSON files contain their date and the
// source of each number. The command reads nothing from AWS.
//
// With -write it writes the tables of docs/cost.md and of both READMEs. A test
// fails while they are out of date.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/local/cloud/template"
	"github.com/yunduo-scrm/archive/local/flags"
)

func main() {
	flags.Exit("cost: ", run(os.Args[1:], os.Stdout))
}

func run(args []string, out io.Writer) error {
	f := flag.NewFlagSet("cost", flag.ContinueOnError)
	f.SetOutput(out)
	var u usage
	f.Float64Var(&u.messages, "messages", 1e6, "messages a month, of all companies")
	f.Float64Var(&u.mediaGB, "media-gb", 10, "GB of media a month")
	f.Float64Var(&u.corps, "corps", 10, "companies")
	f.Float64Var(&u.nats, "nats", 1, "NAT gateways with addresses, 1 or 2; 0 in a network that exists")
	keys := f.String("keys", "each", "the parameter Keys: one or each")
	alarms := f.String("alarms", "all", "the parameter Alarms: essential or all")
	messages := f.String("class", "standard", "the parameter MessagesClass: standard or infrequent")
	backup := f.String("backup", "recovery", "the parameter MessagesBackup: recovery or none")
	f.Float64Var(&u.months, "months", 12, "months of messages in storage; the archive never deletes")
	region := f.String("region", "us-east-1", "region of the prices file")
	root := f.String("root", ".", "`folder` of the repository")
	rewrite := f.Bool("write", false, "write the tables for 1, 10 and 100 million messages into the documents")
	if err := flags.ParseAll(f, args); err != nil {
		return err
	}
	if err := errors.Join(u.check(), u.choose(*keys, *alarms, *messages, *backup)); err != nil {
		return flags.Mistake(err)
	}
	in, err := readInputs(*root)
	if err != nil {
		return err
	}
	if *rewrite {
		return writeDocuments(*root, in)
	}
	b, err := in.book(*region)
	if err != nil {
		return err
	}
	lines := b.bill(u)
	if err := b.missing(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%-34s %14s  %s\n", "a month, "+b.currency, "", "quantity")
	for _, l := range lines {
		fmt.Fprintf(out, "%-34s %14.2f  %s\n", l.name, l.amount, l.note)
	}
	fmt.Fprintf(out, "%-34s %14.2f\n", "sum", sum(lines))
	if u.messages > 0 {
		fmt.Fprintf(out, "%-34s %14.2f\n", "per million messages", sum(lines)/u.messages*1e6)
	}
	fmt.Fprintf(out, "\n%s a month\n", b.currency)
	for _, r := range floorRows(b) {
		cost := fmt.Sprintf("%.1f", r.cost)
		if r.adds {
			cost = "+ " + cost
		}
		fmt.Fprintf(out, "%-80s %8s\n", r.name+strings.ReplaceAll(r.details, "`", ""), cost)
	}
	fmt.Fprintf(out, "\nprices of %s, %s. %s\nderived: %s\nmeasured %s: %s\n", *region, in.prices.Date, in.prices.Note,
		cmp.Or(strings.Join(named(b.prices, "derived"), ", "), "none"), in.measured.Date, in.measured.Machine)
	return nil
}

// named lists the names of the numbers whose source begins with source.
func named(numbers map[string]number, source string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		if strings.HasPrefix(numbers[name].Source, source) {
			names = append(names, name)
		}
	}
	return names
}

// inputs holds the numbers of a bill.
type inputs struct {
	prices   pricesFile
	measured measuredFile
	memory   map[string]float64 // GB, by logical id
}

func readInputs(root string) (in inputs, err error) {
	if err := errors.Join(read(root+"/docs/prices.json", &in.prices), read(root+"/docs/measured.json", &in.measured)); err != nil {
		return in, err
	}
	source, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		return in, err
	}
	// JwtIssuer has no default. Its value does not change the memory sizes.
	stack, err := template.Read(source, template.Options{
		StackName: "cost", Region: "us-east-1", QueueEndpoint: "http://localhost", Parameters: map[string]string{"JwtIssuer": "https://localhost"},
	})
	if err != nil {
		return in, err
	}
	in.memory = make(map[string]float64)
	for _, f := range stack.Functions {
		in.memory[f.ID] = float64(f.MemorySize) / 1024
	}
	return in, nil
}

func (in inputs) book(region string) (*book, error) {
	list, ok := in.prices.Regions[region]
	if !ok {
		return nil, flags.Mistake(fmt.Errorf("docs/prices.json has no prices of %s: add a block with the names of another region", region))
	}
	return &book{currency: list.Currency, prices: list.Prices, measured: in.measured.Values, functions: in.memory}, nil
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
		Prices   map[string]number
	}
}

type measuredFile struct {
	Date    string
	Machine string
	Values  map[string]number
}

// A number has a value and its source. The source of a price begins with list,
// seen or derived. Other sources begin with measured, derived or assumed.
type number struct {
	Value  float64
	Source string
}

// usage is the input of a bill: messages and media a month, companies, NAT
// gateways, and the months since the start.
// oneKey, essential, infrequent and unsaved are the cheaper choices of the
// parameters Keys, Alarms, MessagesClass and MessagesBackup.
type usage struct {
	messages, mediaGB, corps, nats, months float64
	oneKey, essential, infrequent, unsaved bool
}

func (u usage) keys() float64 {
	if u.oneKey {
		return 1
	}
	return kmsKeys
}

func (u usage) alarms() float64 {
	if u.essential {
		return fewerMetrics
	}
	return alarmMetrics
}

// kept says how the table of messages is kept.
func (u usage) kept() string {
	class, recovery := "Standard", "with recovery"
	if u.infrequent {
		class = "Standard-IA"
	}
	if u.unsaved {
		recovery = "without recovery"
	}
	return class + ", " + recovery
}

// gateways describes the NAT gateways of a bill.
func gateways(n float64) string {
	if n == 0 {
		return "none: a network that exists, whose cost is not counted"
	}
	return fmt.Sprintf("%.0f with address, by the hour", n)
}

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
	if u.nats != 0 && u.nats != 1 && u.nats != 2 {
		errs = append(errs, errors.New("NATS must be 1 or 2, or 0 in a network that exists"))
	}
	if u.months < 1 {
		errs = append(errs, errors.New("months must be at least 1"))
	}
	return errors.Join(errs...)
}

// choose takes the values of the parameters Keys, Alarms, MessagesClass and
// MessagesBackup.
func (u *usage) choose(keys, alarms, class, backup string) error {
	var errs []error
	for _, c := range []struct {
		name, value, cheap, other string
		into                      *bool
	}{
		{"KEYS", keys, "one", "each", &u.oneKey},
		{"ALARMS", alarms, "essential", "all", &u.essential},
		{"CLASS", class, "infrequent", "standard", &u.infrequent},
		{"BACKUP", backup, "none", "recovery", &u.unsaved},
	} {
		if *c.into = c.value == c.cheap; !*c.into && c.value != c.other {
			errs = append(errs, fmt.Errorf("%s is %q: want %s or %s", c.name, c.value, c.cheap, c.other))
		}
	}
	return errors.Join(errs...)
}

// A book looks up numbers and collects the names of missing ones.
type book struct {
	currency         string
	prices, measured map[string]number
	functions        map[string]float64
	absent           []string
}

func (b *book) price(name string) float64 {
	v, ok := b.prices[name]
	b.note(ok, "docs/prices.json: "+name)
	return v.Value
}

func (b *book) seen(name string) float64 {
	v, ok := b.measured[name]
	b.note(ok, "docs/measured.json: "+name)
	return v.Value
}

// memory is the memory of a function, in GB.
func (b *book) memory(function string) float64 {
	v, ok := b.functions[function]
	b.note(ok, "template.yaml: "+function)
	return v
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
	return fmt.Errorf("numbers missing: %s", strings.Join(b.absent, ", "))
}
