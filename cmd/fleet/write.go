package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/snsnotify"
)

// write prints a line for each company, and below the table what to do about each
// kind of health that needs a person.
func write(out io.Writer, stack string, all []company, unwell bool) error {
	counts := map[watch.Health]int{}
	var order []watch.Health // as in the list: the worst first
	for _, c := range all {
		if counts[c.health]++; counts[c.health] == 1 {
			order = append(order, c.health)
		}
	}
	var summary []string
	for _, h := range order {
		summary = append(summary, fmt.Sprintf("%d %s", counts[h], h))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d companies", stack, len(all))
	if len(all) > 0 {
		fmt.Fprintf(&b, " (%s)\n\n", strings.Join(summary, ", "))
		table := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "company\tname\thealth\thours left\tlag\tfile hours\toverdue\tset aside\tcause")
		for _, c := range all {
			if !unwell || c.rank() < 5 {
				fmt.Fprintln(table, strings.Join(cells(c), "\t"))
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	b.WriteString("\n")
	for _, h := range order {
		if h == watch.Well || h == watch.Off {
			continue
		}
		what, remedy := snsnotify.Text(h)
		fmt.Fprintf(&b, "%s: %s\n    %s\n", h, what, remedy)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func cells(c company) []string {
	all := []string{c.ID, snsnotify.Quoted(c.Name), string(c.health)}
	if !c.Enabled {
		return append(all, "-", "-", "-", "-", atMost(c.setAside), "-")
	}
	cause := "-"
	if t := c.trouble; t != nil {
		level := "errcode"
		if t.Native {
			level = "return code"
		}
		cause = fmt.Sprintf("%s, %s %s %d, since %s", t.Cause, t.Op, level, t.Code, t.Since.UTC().Format(time.RFC3339))
		if step := t.Cause.Step(); step != 0 {
			cause += fmt.Sprintf(", set-up step %d", step)
		}
	}
	if c.err != nil {
		cause += "; partly unread"
	}
	files := "-"
	if c.files < archive.Retention {
		files = fmt.Sprintf("%.1f", c.files.Hours())
	}
	overdue := atMost(c.overdue)
	if c.stuck > 0 {
		overdue += fmt.Sprintf(" (%d stuck)", c.stuck)
	}
	return append(all, fmt.Sprintf("%.1f", c.left.Hours()), c.lag().Round(time.Minute).String(), files, overdue, atMost(c.setAside), cause)
}

// atMost writes a count that ends at mostCounted.
func atMost(n int) string {
	if n >= mostCounted {
		return fmt.Sprintf("%d or more", n)
	}
	return fmt.Sprint(n)
}
