package archive

import "errors"

var (
	// ErrImportsToday means that the corp has used its imports of the day.
	ErrImportsToday = errors.New("imports of the day used up")
	// ErrImports means that the corp has used all its imports.
	ErrImports = errors.New("imports used up")
)

// KeyQuota bounds the private keys of a corp and says how much of the bounds
// is used. A stored private key is never removed (law 6), and it costs the
// operator money each month. The keys that are not proved follow from the
// corp's [KeySet]. Imports are counted here when they begin, because a private
// key is stored before its public half.
type KeyQuota struct {
	// The bounds, which an operator may raise.
	Unproved      int // keys that were made here and have not opened a message
	ImportsPerDay int
	Imports       int // in all

	Day   Day // on which Today counts, in Beijing; empty before the first import
	Today int // imports begun on Day
	Begun int // imports begun in all
	// Rev is the number of changes so far. A store changes the quota only if
	// Rev is the stored one.
	Rev uint64
}

// NewKeyQuota is the quota of a corp until an operator raises it.
func NewKeyQuota() KeyQuota {
	return KeyQuota{Unproved: 2, ImportsPerDay: 20, Imports: 100}
}

// BeginImport takes an import of a day from the quota, or answers
// [ErrImportsToday] or [ErrImports].
func (q KeyQuota) BeginImport(day Day) (KeyQuota, error) {
	if q.Day != day {
		q.Day, q.Today = day, 0
	}
	switch {
	case q.Begun >= q.Imports:
		return q, ErrImports
	case q.Today >= q.ImportsPerDay:
		return q, ErrImportsToday
	}
	q.Today++
	q.Begun++
	return q, nil
}

// Unproved counts the keys that were made here and have not opened a message.
func (s KeySet) Unproved() int {
	proved := make(map[string]bool)
	for _, b := range s.Bindings {
		proved[b.KeyID] = true
	}
	n := 0
	for _, k := range s.Keys {
		if k.Origin == KeyMade && !proved[k.ID] {
			n++
		}
	}
	return n
}
