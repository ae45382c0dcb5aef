package wecom

import (
	"fmt"
	"time"
)

// Faults are the faults of WeCom for one corp. They last until they are replaced.
// The zero Faults means that WeCom works.
type Faults struct {
	// Unreachable means that WeCom closes every connection without an answer.
	Unreachable bool `json:"unreachable"`
	// DelayMS is the delay of every answer, in ms of real time.
	DelayMS int `json:"delay_ms"`

	// Page is the fault of getchatdata's answers, and Media is the fault of
	// getchatmediadata's answers. PageTimes and MediaTimes are the numbers of
	// answers with the fault. 0 means all answers.
	Page       PageFault  `json:"page"`
	PageTimes  int        `json:"page_times"`
	Media      MediaFault `json:"media"`
	MediaTimes int        `json:"media_times"`

	// Empty is the form of a page without records.
	Empty EmptyForm `json:"empty"`
	// PageBytes is the largest size of a page. WeCom refuses a larger page with
	// 301058. 0 means that any size is allowed.
	PageBytes int `json:"page_bytes"`
	// Marker is the errmsg of each page that contains the record MarkerSeq, or
	// of every page if MarkerSeq is zero. The stand-in library obeys markers
	// such as "##standin:crash##".
	Marker    string `json:"marker"`
	MarkerSeq uint64 `json:"marker_seq"`
	// MediaMarker is a marker for the stand-in library in each media answer.
	MediaMarker string `json:"media_marker"`

	// Notify is the fault of msgaudit_notify events.
	Notify NotifyFault `json:"notify"`
}

// PageFault is a fault of a page.
type PageFault string

// The faults of a page.
const (
	PageWhole         PageFault = ""
	PageNotJSON       PageFault = "not_json"
	PageBlank         PageFault = "blank"      // an empty answer
	PageTruncated     PageFault = "truncated"  // the beginning of the JSON, with a matching length
	PageStatus500     PageFault = "status_500" // an HTML error page
	PageNoErrcode     PageFault = "no_errcode"
	PageNoChatData    PageFault = "no_chatdata"    // chatdata is missing
	PageDuplicateSeq  PageFault = "duplicate_seq"  // the last record has the seq of the first record
	PageFallingSeq    PageFault = "falling_seq"    // records in reverse order
	PageOldSeq        PageFault = "old_seq"        // the first record has the seq of the request
	PageMissingSeq    PageFault = "missing_seq"    // the first record has no seq
	PageMissingFields PageFault = "missing_fields" // every record lacks one of the other four fields
	PageGarbageKeys   PageFault = "garbage_keys"   // encrypt_random_key of every record is not base64
)

// EmptyForm is the form of a page without records.
type EmptyForm string

// The forms.
const (
	EmptyArray  EmptyForm = ""       // "chatdata":[]
	EmptyAbsent EmptyForm = "absent" // chatdata is missing
	EmptyNull   EmptyForm = "null"   // "chatdata":null
)

// MediaFault is a fault of a media answer.
type MediaFault string

// The faults of a media answer.
const (
	MediaWhole     MediaFault = ""
	MediaCorrupt   MediaFault = "corrupt"    // one byte of the chunk is wrong
	MediaNoIndex   MediaFault = "no_index"   // the answer is not finished but has no next index
	MediaEmptyTail MediaFault = "empty_tail" // the last chunk is not marked as last, and an empty chunk follows
	MediaNotJSON   MediaFault = "not_json"   // an HTML error page with status 502
)

// NotifyFault is a fault of msgaudit_notify events.
type NotifyFault string

// The faults of msgaudit_notify.
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
		return fmt.Errorf("page: fault %q unknown", f.Page)
	}
	switch f.Media {
	case MediaWhole, MediaCorrupt, MediaNoIndex, MediaEmptyTail, MediaNotJSON:
	default:
		return fmt.Errorf("media: fault %q unknown", f.Media)
	}
	switch f.Empty {
	case EmptyArray, EmptyAbsent, EmptyNull:
	default:
		return fmt.Errorf("empty: form %q unknown", f.Empty)
	}
	switch f.Notify {
	case NotifyWhole, NotifySilent, NotifyTwice, NotifyWrongSignature, NotifyWrongReceiver:
	default:
		return fmt.Errorf("notify: fault %q unknown", f.Notify)
	}
	if f.DelayMS < 0 || f.PageTimes < 0 || f.MediaTimes < 0 || f.PageBytes < 0 {
		return fmt.Errorf("delay_ms, page_times, media_times or page_bytes negative")
	}
	return nil
}

// A Failure makes the next calls of an endpoint fail.
type Failure struct {
	Endpoint string `json:"endpoint"` // path such as "/cgi-bin/gettoken"; empty means every path
	Code     int    `json:"errcode"`
	Times    int    `json:"times"` // calls that still have to fail; 0 means 1
	// Body replaces the whole answer, for example with one that quotes the request.
	// The answer is then not counted as a refusal.
	Body string `json:"body,omitempty"`
}

// FailNext adds a failure. Each failed call uses up the oldest failure that fits.
func (c *Corp) FailNext(f Failure) error {
	if f.Code == 0 || f.Times < 0 {
		return fmt.Errorf("errcode is 0 or times negative")
	}
	if f.Endpoint != "" && !known(f.Endpoint) {
		return fmt.Errorf("endpoint %q unknown", f.Endpoint)
	}
	def(&f.Times, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, f)
	return nil
}

// EndFailures removes the failures that no call has used up.
func (c *Corp) EndFailures() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = nil
}

// failure returns the failure of the call, and counts it. The zero Failure means
// that the call need not fail.
func (c *Corp) failure(endpoint string) Failure {
	for i, f := range c.failures {
		if f.Endpoint != "" && f.Endpoint != endpoint {
			continue
		}
		if c.failures[i].Times--; c.failures[i].Times == 0 {
			c.failures = append(c.failures[:i], c.failures[i+1:]...)
		}
		return f
	}
	return Failure{}
}

// takePageFault returns the fault of the next page, and counts it.
func (f *Faults) takePageFault() PageFault {
	now := f.Page
	if f.PageTimes > 0 {
		if f.PageTimes--; f.PageTimes == 0 {
			f.Page = PageWhole
		}
	}
	return now
}

// takeMediaFault returns the fault of the next media answer, and counts it.
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
