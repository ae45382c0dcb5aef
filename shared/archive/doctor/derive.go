package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// Facts is what the archive has stored about a corp.
type Facts struct {
	Now         time.Time
	Corp        archive.Corp
	Pull        archive.PullState
	Came        bool // WeCom has returned a page with messages
	Keys        archive.KeySet
	Reach       directory.Reach
	Callback    archive.Callback // if Pair is empty, the corp has no callback
	AppCallback archive.Callback
	SetAside    []archive.SetAside // the first ones
	MoreAside   bool
	Pendings    []archive.Pending // the first ones
	Losses      []archive.Loss
	Files       media.Backlog
	TrustedIPs  []string
}

const (
	// firstChats is how long after the switch-on a corp may have no messages before
	// its check says so.
	firstChats = time.Hour
	// silentAfter is how long a corp may receive messages without an event before its
	// callback counts as silent.
	silentAfter = 24 * time.Hour
	// lossShown is how long a loss keeps its check bad. The ledger keeps it
	// permanently.
	lossShown = 7 * 24 * time.Hour
	// filesShort is the time left until WeCom deletes a file, below which the check is
	// bad.
	filesShort = 24 * time.Hour
)

// Derive gives the state of every check, in the order of [Checks]. It depends on
// the facts alone.
func Derive(f Facts) []Result {
	d := derivation{f, f.trouble()}
	all := []Result{
		d.corp(), d.scope(), d.seats(), d.secret(), d.key(), d.versions(), d.trustedIP(), d.switchOn(),
		d.callback(CheckCallback, f.Callback, f.Corp.CallbackAt), d.pulls(), d.chats(), d.hours(), d.losses(), d.pages(), d.setAside(), d.files(), d.app(),
		d.callback(CheckAppCallback, f.AppCallback, time.Time{}),
	}
	for i, c := range Checks {
		all[i].Check = c
	}
	return all
}

type derivation struct {
	Facts
	t *archive.Trouble // of the archive secret; nil without trouble
}

// trouble is the newest trouble of the corp: from the try on the open way, from the
// last check of the archive access, or from the last pull. A trouble that usually
// passes by itself counts only after [archive.PassesWithin].
func (f Facts) trouble() *archive.Trouble {
	var newest *archive.Trouble
	for _, t := range []*archive.Trouble{f.Corp.OpenTrouble(f.Pull), f.Reach.Standing(directory.AccessArchive, f.Corp).Trouble, f.Pull.Trouble} {
		if t == nil || t.Cause.Passes() && f.Now.Sub(t.Since) < archive.PassesWithin {
			continue
		}
		if aboutSecret(t.Cause) && t.At.Before(f.Corp.SecretSetAt) {
			continue // about an earlier secret
		}
		if newest == nil || !t.At.Before(newest.At) {
			newest = t
		}
	}
	return newest
}

func aboutSecret(c archive.Cause) bool {
	return c == archive.CauseSecret || c == archive.CauseSecretKind || c == archive.CauseSecretMissing || c == archive.CauseShare
}

// answered is when WeCom last answered a pull; zero for never.
func (f Facts) answered() time.Time {
	return latest(f.Pull.LastEmptyAt, f.Pull.LastPageAt)
}

// secretOK is when WeCom last accepted the present secret; zero for never.
func (f Facts) secretOK() time.Time {
	at := f.Corp.SecretSetAt
	if at.IsZero() {
		return time.Time{}
	}
	return latest(latest(f.Pull.For(at).OKAt, f.Reach.Standing(directory.AccessArchive, f.Corp).OKAt), f.Corp.OpenOKAt)
}

// failed returns a bad result for the trouble, and true, if the trouble has one of the
// causes.
func (d derivation) failed(causes ...archive.Cause) (Result, bool) {
	if d.t == nil || !slices.Contains(causes, d.t.Cause) {
		return Result{}, false
	}
	return bad(*d.t), true
}

func bad(t archive.Trouble) Result {
	return Result{State: Bad, Cause: Cause(t.Cause), Since: t.Since, At: t.At, Op: t.Op, Code: t.Code, Native: t.Native, FromIP: t.FromIP}
}

func (d derivation) corp() Result {
	if r, failed := d.failed(archive.CauseCorpID); failed {
		return r.with(FactCorpID, d.Corp.ID)
	}
	if at := d.secretOK(); !at.IsZero() {
		return Result{State: OK, At: at}
	}
	return Result{State: Unseen}
}

func (d derivation) scope() Result {
	r, failed := d.failed(archive.CauseNotOpen, archive.CauseExpired, archive.CauseDisabled, archive.CauseUnverified)
	s := d.Reach.Scope
	switch {
	case failed:
		return r
	case s == nil && d.Came:
		return Result{State: OK, At: d.Pull.LastPageAt}
	case s == nil:
		return Result{State: Unseen}
	case s.Count == 0:
		return Result{State: Bad, Cause: CauseEmpty, At: s.At}
	}
	return Result{State: OK, At: s.At}.with(FactMembers, strconv.Itoa(s.Count))
}

// seats is a hint: WeCom archives no member beyond the seats, and does not say
// how many seats there are.
func (d derivation) seats() Result {
	s := d.Reach.Scope
	if s == nil || s.Count == 0 {
		return Result{State: Unseen}
	}
	return Result{State: Unseen, Cause: CauseSeats, At: s.At}.with(FactMembers, strconv.Itoa(s.Count))
}

func (d derivation) secret() Result {
	c := d.Corp
	if c.SecretPrefix == "" {
		return Result{State: Waiting, Cause: Cause(archive.CauseSecretMissing)}
	}
	if r, failed := d.failed(archive.CauseSecret, archive.CauseSecretKind, archive.CauseShare, archive.CauseBudget); failed {
		r = r.with(FactMasked, c.SecretPrefix+"…").when(FactSetAt, c.SecretSetAt)
		if until := d.Pull.For(c.SecretSetAt).HeldUntil; until.After(d.Now) {
			r = r.when(FactUntil, until)
		}
		return r
	}
	if at := d.secretOK(); !at.IsZero() {
		return Result{State: OK, At: at}
	}
	return Result{State: Waiting, Since: c.SecretSetAt}.when(FactSetAt, c.SecretSetAt)
}

// proofs are the versions that messages proved for a key.
func (d derivation) proofs(key string) (versions []uint32, newest time.Time) {
	for _, b := range d.Keys.Bindings {
		if b.KeyID == key {
			versions, newest = append(versions, b.Version), latest(newest, b.At)
		}
	}
	slices.Sort(versions)
	return versions, newest
}

func (d derivation) key() Result {
	i := slices.IndexFunc(d.Keys.Keys, func(k archive.Key) bool { return k.ID == d.Corp.CurrentKey })
	if i < 0 {
		return Result{State: Unseen}
	}
	k := d.Keys.Keys[i]
	proved, at := d.proofs(k.ID)
	switch {
	case len(proved) > 0 && k.ClaimedVersion != 0 && !slices.Contains(proved, k.ClaimedVersion):
		return Result{State: OK, Cause: CauseElsewhere, At: at}.with(FactClaimed, version(k.ClaimedVersion)).with(FactProved, joined(proved))
	case len(proved) > 0:
		return Result{State: OK, At: latest(at, k.LastUsedAt)}.with(FactProved, joined(proved))
	case k.ClaimedVersion != 0:
		return Result{State: Waiting, Cause: CauseUnproved, Since: k.ClaimedAt}.with(FactVersion, version(k.ClaimedVersion)).with(FactBy, k.ClaimedBy)
	}
	return Result{State: Waiting, Cause: CauseUnclaimed, Since: k.CreatedAt}
}

func (d derivation) versions() Result {
	var versions []uint32
	var oldest time.Time
	n := 0
	for _, u := range d.SetAside {
		if u.Reason != archive.ReasonNoKey {
			continue
		}
		n++
		if u.KeyVersion != 0 && !slices.Contains(versions, u.KeyVersion) {
			versions = append(versions, u.KeyVersion)
		}
		if until := u.At.Add(archive.Retention); until.After(d.Now) && (oldest.IsZero() || until.Before(oldest)) {
			oldest = until
		}
	}
	if n == 0 {
		return Result{State: d.whenAnswered(), At: d.answered()}
	}
	slices.Sort(versions)
	r := Result{State: Bad, Cause: CauseUnmatched}.with(FactVersions, joined(versions))
	return d.counted(r, n).when(FactFilesUntil, oldest)
}

// counted adds a number of records set aside.
func (d derivation) counted(r Result, n int) Result {
	if d.MoreAside {
		return r.with(FactAtLeast, strconv.Itoa(n))
	}
	return r.with(FactCount, strconv.Itoa(n))
}

// whenAnswered is OK if a pull was answered, which shows that nothing is wrong.
func (d derivation) whenAnswered() State {
	if d.answered().IsZero() {
		return Unseen
	}
	return OK
}

func (d derivation) trustedIP() Result {
	list := strings.Join(d.TrustedIPs, ";")
	if r, failed := d.failed(archive.CauseTrustedIP); failed {
		r = r.with(FactTrustedIPs, list)
		switch {
		case r.FromIP == "":
			return r
		case slices.Contains(d.TrustedIPs, r.FromIP):
			return r.with(FactFromIP, r.FromIP).with(FactOnList, "yes")
		}
		r.Cause = CauseEgress
		return r.with(FactFromIP, r.FromIP).with(FactOnList, "no")
	}
	if at := latest(d.answered(), d.Reach.Standing(directory.AccessArchive, d.Corp).OKAt); !at.IsZero() {
		return Result{State: OK, At: at}
	}
	return Result{State: Unseen}.with(FactTrustedIPs, list)
}

func (d derivation) switchOn() Result {
	c := d.Corp
	if !c.Enabled {
		r := Result{State: Off, Cause: CauseSwitchedOff, Since: c.StateAt}
		if c.EnabledAt.IsZero() { // it was never on
			return Result{State: Waiting, Cause: CauseSwitchedOff}
		}
		for _, e := range []Evidence{{FactBy, c.StateBy}, {FactReason, c.StateReason}} {
			if e.Value != "" {
				r = r.with(e.Fact, e.Value)
			}
		}
		return r
	}
	if r, failed := d.failed(archive.CauseNotOpen); failed {
		return r
	}
	if at := d.answered(); !at.IsZero() {
		return Result{State: OK, At: at}
	}
	return Result{State: Waiting, Since: c.EnabledAt}
}

// callback judges one of the two callbacks. notified is when WeCom last announced
// messages by it. It is zero for the app's callback, which may be silent for days.
func (d derivation) callback(check Check, cb archive.Callback, notified time.Time) Result {
	if cb.Pair == "" {
		return Result{State: Off}
	}
	seen := latest(latest(cb.VerifiedAt, cb.EventAt), notified)
	switch {
	case cb.RefusedDay == archive.DayOf(d.Now) && cb.RefusedAt.After(seen):
		return Result{State: Bad, Cause: CauseRefused, At: cb.RefusedAt}.with(FactAtLeast, strconv.Itoa(cb.Refused)).
			with(FactWhy, string(cb.RefusedWhy)).with(FactSourceIP, cb.RefusedFrom)
	case seen.IsZero():
		return Result{State: Unseen, Cause: CauseUnverified}
	case check == CheckCallback && d.Corp.Enabled && d.Now.Sub(d.Pull.LastPageAt) < silentAfter && d.Pull.LastPageAt.Sub(seen) > silentAfter:
		return Result{State: Bad, Cause: CauseSilent, Since: seen, At: seen}.when(FactVerifiedAt, cb.VerifiedAt).when(FactEventAt, latest(cb.EventAt, notified))
	}
	return Result{State: OK, At: seen}.when(FactVerifiedAt, cb.VerifiedAt).when(FactEventAt, latest(cb.EventAt, notified))
}

func (d derivation) pulls() Result {
	if !d.Corp.Enabled {
		return Result{State: Off}
	}
	r, failed := d.failed(archive.CauseRate, archive.CauseNetwork, archive.CauseBusy, archive.CauseTLS, archive.CauseLibraryMissing, archive.CauseLibraryCrash,
		archive.CauseBadAnswer, archive.CauseRecordTooLarge, archive.CauseUnknownResponse)
	if failed {
		return r.with(FactHours, hours(archive.HoursLeft(d.Corp, d.Pull, d.Now)))
	}
	return Result{State: d.whenAnswered(), At: d.answered()}
}

func (d derivation) chats() Result {
	switch {
	case d.Came:
		return Result{State: OK, At: d.Pull.LastPageAt}
	case !d.Corp.Enabled:
		return Result{State: Off}
	case !d.Pull.LastEmptyAt.IsZero() && d.Now.Sub(d.Corp.EnabledAt) >= firstChats && (d.Reach.Scope == nil || d.Reach.Scope.Count > 0):
		r := Result{State: Waiting, Cause: CauseNothing, Since: d.Corp.EnabledAt, At: d.Pull.LastEmptyAt}.when(FactLastCall, d.Pull.LastCallAt)
		if s := d.Reach.Scope; s != nil {
			r = r.with(FactMembers, strconv.Itoa(s.Count))
		}
		return r
	}
	return Result{State: Waiting, Since: d.Corp.EnabledAt}
}

func (d derivation) hours() Result {
	if !d.Corp.Enabled {
		return Result{State: Off}
	}
	left := archive.HoursLeft(d.Corp, d.Pull, d.Now)
	r := Result{State: OK, At: d.Pull.LastEmptyAt}
	switch {
	case left <= 0:
		r.State, r.Cause = Bad, CauseLosing
	case left < archive.LateBelow:
		r.State, r.Cause = Bad, CauseLate
	}
	return r.with(FactHours, hours(left))
}

func (d derivation) losses() Result {
	r := Result{State: OK}
	recent := func(at time.Time) State {
		if d.Now.Sub(at) < lossShown {
			return Bad
		}
		return OK
	}
	if g := d.Pull.LastGap; g != nil {
		r = Result{State: recent(g.At), Cause: CauseGap, Since: g.At, At: g.At}.with(FactCount, strconv.Itoa(d.Pull.Gaps)).with(FactSeq, strconv.FormatUint(g.After+1, 10))
	}
	if n := len(d.Losses); n > 0 && (r.State != Bad || !d.Losses[n-1].At.Before(r.At)) {
		l := d.Losses[n-1]
		r = Result{State: recent(l.At), Cause: CauseLost, Since: l.Since, At: l.At}.with(FactCount, strconv.Itoa(n))
	}
	return r
}

func (d derivation) pages() Result {
	n, oldest := 0, time.Time{}
	for _, p := range d.Pendings {
		if p.Stuck {
			if n++; oldest.IsZero() || p.RequestedAt.Before(oldest) {
				oldest = p.RequestedAt
			}
		}
	}
	if n == 0 {
		return Result{State: OK}
	}
	return Result{State: Bad, Cause: CauseStuck}.with(FactCount, strconv.Itoa(n)).when(FactOldest, oldest)
}

// worst lists the reasons that a new key does not remove, the worst one first.
var worst = []archive.Reason{
	archive.ReasonJournal, archive.ReasonBadKey, archive.ReasonLibrary, archive.ReasonCrash, archive.ReasonHang, archive.ReasonBadRecord,
}

func (d derivation) setAside() Result {
	for _, reason := range worst {
		n, first := 0, archive.SetAside{}
		for _, u := range d.SetAside {
			if u.Reason == reason {
				if n++; n == 1 {
					first = u
				}
			}
		}
		if n > 0 {
			return d.counted(Result{State: Bad, Cause: Cause(reason), Since: first.At}, n).with(FactSeq, strconv.FormatUint(first.Seq, 10))
		}
	}
	return Result{State: OK}
}

func (d derivation) files() Result {
	b := d.Files
	if b.Late > 0 || !b.Earliest.IsZero() && b.Earliest.Sub(d.Now) < filesShort {
		return Result{State: Bad, Cause: CauseFilesShort}.with(FactCount, strconv.Itoa(b.Waiting)).when(FactUntil, b.Earliest)
	}
	n := 0
	for _, count := range b.Problems {
		n += count
	}
	if n > 0 { // the check is not bad, because no person can bring the files back
		return Result{State: OK, Cause: CauseFilesMissing}.with(FactCount, strconv.Itoa(n))
	}
	return Result{State: OK}
}

func (d derivation) app() Result {
	if d.Reach.App.SetAt.IsZero() {
		return Result{State: Off, Cause: CauseAppUnused}
	}
	r := Result{State: OK}
	for _, access := range []directory.Access{directory.AccessMembers, directory.AccessCustomers} {
		s := d.Reach.Standing(access, d.Corp)
		switch {
		case s.Trouble != nil && access.Step(s.Trouble.Cause) == directory.AppStep:
			r := bad(*s.Trouble).with(FactAccess, string(access))
			if r.FromIP != "" {
				r = r.with(FactFromIP, r.FromIP)
			}
			return r
		case s.OKAt.IsZero():
			r = Result{State: Waiting, Since: d.Reach.App.SetAt}
		case r.State == OK:
			r.At = latest(r.At, s.OKAt)
		}
	}
	return r
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func version(v uint32) string { return strconv.FormatUint(uint64(v), 10) }

func joined(versions []uint32) string {
	var list []string
	for _, v := range versions {
		list = append(list, version(v))
	}
	return strings.Join(list, ", ")
}

func hours(left time.Duration) string { return fmt.Sprintf("%.1f", left.Hours()) }
