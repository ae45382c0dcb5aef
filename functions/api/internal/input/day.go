package input

import (
	"strconv"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// RangeDays is the longest range of days that one request may ask for.
const RangeDays = 31

// firstDay is the earliest day. Days are compared as texts, which have no years
// below 0.
const firstDay archive.Day = "0001-01-01"

// DayEnd is the first moment after the day.
func DayEnd(d archive.Day) time.Time { return d.Start().AddDate(0, 0, 1) }

// DaysAfter is the day that is n days after d.
func DaysAfter(d archive.Day, n int) archive.Day { return archive.DayOf(d.Start().AddDate(0, 0, n)) }

// Day reads a Beijing date from the query; fallback if the query has none.
func (in *Input) Day(field string, fallback archive.Day) archive.Day {
	if !in.Query.Has(field) {
		return fallback
	}
	day := archive.Day(in.Query.Get(field))
	if day.Start().IsZero() {
		in.Reject(field, problem.Form, problem.RemedyDay, nil)
		return fallback
	}
	return day
}

// Month reads a month from the query, and returns its first and its last day.
// The month of fallback by default.
func (in *Input) Month(field string, fallback archive.Day) (first, last archive.Day) {
	first = fallback[:len("2006-01")] + "-01"
	if in.Query.Has(field) {
		month := archive.Day(in.Query.Get(field) + "-01")
		if month.Start().IsZero() {
			in.Reject(field, problem.Form, problem.RemedyMonth, nil)
		} else {
			first = month
		}
	}
	return first, DaysAfter(archive.DayOf(first.Start().AddDate(0, 1, 0)), -1)
}

// Days reads a range of at most [RangeDays] days from the query. By default it
// ends today; it may not end later.
func (in *Input) Days(fromField, toField string, today archive.Day) (from, to archive.Day) {
	to = in.Day(toField, today)
	from = in.Day(fromField, max(DaysAfter(to, 1-RangeDays), firstDay))
	if to > today || from > to || DaysAfter(from, RangeDays) <= to {
		in.Reject(fromField, problem.Range, problem.RemedyDays, problem.Args{"from": fromField, "to": toField, "max": strconv.Itoa(RangeDays)})
	}
	return from, to
}
