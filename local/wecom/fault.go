package wecom

import (
	"fmt"
	"time"
)

// Faults is what is wrong with WeCom for one corp, until it is replaced. The
// zero Faults is health.
type Faults struct {
	// Unreachable: connections are dropped without an answer, on every path.
	Unreachable bool `json:"unreachable"`
	// DelayMS is how long every answer waits, in ms of real time.
	DelayMS int `json:"delay_ms"`

	// Page is what is wrong with answers to getchatdata, Media with those to
	// getchatmediadata. After Times answers each goes away; never if zero.
	Page       PageFault  `json:"page"`
	PageTimes  int        `json:"page_times"`
	Media      MediaFault `json:"media"`
	MediaTimes int        `json:"media_times"`

	// Empty is the form of an empty page.
	Empty EmptyForm `json:"empty"`
	// PageBytes is the size above which a page is refused with 301058; no
	// bound if zero.
	PageBytes int `json:"page_bytes"`
	// Marker is put as errmsg on a page that holds the record MarkerSeq, or on
	// every page if that is zero. The stand-in library takes
	// "##standin:crash##" and the like for orders.
	Marker    string `json:"marker"`
	MarkerSeq uint64 `json:"marker_seq"`

	// Notify is what is wrong with msgaudit_notify.
	Notify NotifyFault `json:"notify"`
}

// PageFault is a way in which a page is broken.
type PageFault string

// The ways.
const (
	PageWhole         PageFault = ""
	PageNotJSON       PageFault = "not_json"
	PageBlank         PageFault = "blank"      // no byte at all
	PageTruncated     PageFault = "truncated"  // JSON that breaks off, with a matching length
	PageStatus500     PageFault = "status_500" // an HTML error
	PageNoErrcode     PageFault = "no_errcode"
	PageNoChatData    PageFault = "no_chatdata"    // although there are records
	PageDuplicateSeq  PageFault = "duplicate_seq"  // the last record has the seq of the first
	PageFallingSeq    PageFault = "falling_seq"    // records in reverse order
	PageOldSeq        PageFault = "old_seq"        // the first record has the seq that was asked after
	PageMissingSeq    PageFault = "missing_seq"    // of the first record
	PageMissingFields PageFault = "missing_fields" // every record lacks one of the other four
	PageGarbageKeys   PageFault = "garbage_keys"   // encrypt_random_key is no base64, in every record
)

// EmptyForm is how a page without records looks.
type EmptyForm string

// The forms.
const (
	EmptyArray  EmptyForm = ""       // "chatdata":[]
	EmptyAbsent EmptyForm = "absent" // no chatdata
	EmptyNull   EmptyForm = "null"   // "chatdata":null
)

// MediaFault is a way in which media answers are broken.
type MediaFault string

// The ways.
const (
	MediaWhole     MediaFault = ""
	MediaCorrupt   MediaFault = "corrupt"    // one byte of the chunk is wrong
	MediaNoIndex   MediaFault = "no_index"   // not finished, and no index to go on with
	MediaEmptyTail MediaFault = "empty_tail" // the last chunk is not marked; an empty one follows
	MediaNotJSON   MediaFault = "not_json"   // an HTML error with status 502
)

// NotifyFault is a way in which notifications are broken.
type NotifyFault string

// The ways.
const (
	NotifyWhole          NotifyFault = ""
	NotifySilent         NotifyFault = "silent"
	NotifyTwice          NotifyFault = "twice"
	NotifyWrongSignature NotifyFault = "wrong_signature"
	NotifyWrongReceiver  NotifyFault = "wrong_receiver"
)

// SetFaults replaces the corp's faults.
func (c *Corp) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = f
	return nil
}

func (f Faults) check() error {
	switch f.Page {
	case PageWhole, PageNotJSON, PageBlank, PageTruncated, PageStatus500, PageNoErrcode, PageNoChatData, PageDuplicateSeq,
		PageFallingSeq, PageOldSeq, PageMissingSeq, PageMissingFields, PageGarbageKeys:
	default:
		return fmt.Errorf("page: there is no fault %q", f.Page)
	}
	switch f.Media {
	case MediaWhole, MediaCorrupt, MediaNoIndex, MediaEmptyTail, MediaNotJSON:
	default:
		return fmt.Errorf("media: there is no fault %q", f.Media)
	}
	switch f.Empty {
	case EmptyArray, EmptyAbsent, EmptyNull:
	default:
		return fmt.Errorf("empty: there is no form %q", f.Empty)
	}
	switch f.Notify {
	case NotifyWhole, NotifySilent, NotifyTwice, NotifyWrongSignature, NotifyWrongReceiver:
	default:
		return fmt.Errorf("notify: there is no fault %q", f.Notify)
	}
	if f.DelayMS < 0 || f.PageTimes < 0 || f.MediaTimes < 0 || f.PageBytes < 0 {
		return fmt.Errorf("delay_ms, page_times, media_times and page_bytes cannot be negative")
	}
	return nil
}

// Failure makes the next calls of an endpoint fail.
type Failure struct {
	Endpoint string `json:"endpoint"` // the path, such as "/cgi-bin/gettoken"; every one if empty
	Code     int    `json:"errcode"`
	Times    int    `json:"times"` // calls to go; 1 if zero
}

// FailNext adds a failure. Failures are used up one after the other.
func (c *Corp) FailNext(f Failure) error {
	if f.Code == 0 || f.Times < 0 {
		return fmt.Errorf("a failure needs an errcode that is not 0 and a number of times that is not negative")
	}
	if f.Endpoint != "" && !known(f.Endpoint) {
		return fmt.Errorf("there is no endpoint %q", f.Endpoint)
	}
	def(&f.Times, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, f)
	return nil
}

// failure takes the errcode with which this call has to fail; 0 if it has not.
func (c *Corp) failure(endpoint string) int {
	for i, f := range c.failures {
		if f.Endpoint != "" && f.Endpoint != endpoint {
			continue
		}
		if c.failures[i].Times--; c.failures[i].Times == 0 {
			c.failures = append(c.failures[:i], c.failures[i+1:]...)
		}
		return f.Code
	}
	return 0
}

// takePageFault returns the page fault in force and counts it down.
func (f *Faults) takePageFault() PageFault {
	now := f.Page
	if f.PageTimes > 0 {
		if f.PageTimes--; f.PageTimes == 0 {
			f.Page = PageWhole
		}
	}
	return now
}

// takeMediaFault returns the media fault in force and counts it down.
func (f *Faults) takeMediaFault() MediaFault {
	now := f.Media
	if f.MediaTimes > 0 {
		if f.MediaTimes--; f.MediaTimes == 0 {
			f.Media = MediaWhole
		}
	}
	return now
}

func (f Faults) delay() time.Duration { return time.Duration(f.DelayMS) * time.Millisecond }
