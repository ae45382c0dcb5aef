package wecom

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
)

// maxPage is the largest number of records in a page (document 91774).
const maxPage = 1000

// record is a message in a page. A zero field is left out. Only broken pages have
// zero fields.
type record struct {
	Seq        uint64 `json:"seq,omitempty"`
	MsgID      string `json:"msgid,omitempty"`
	KeyVersion uint32 `json:"publickey_ver,omitempty"`
	RandomKey  string `json:"encrypt_random_key,omitempty"`
	Message    string `json:"encrypt_chat_msg,omitempty"`
}

// chatData answers getchatdata.
func (c *call) chatData() (any, error) {
	var q struct {
		Seq   uint64 `json:"seq"`
		Limit uint64 `json:"limit"`
	}
	if err := c.decode(&q); err != nil {
		return nil, err
	}
	if q.Limit < 1 || q.Limit > maxPage {
		return nil, refusal(40058)
	}
	c.corp.mu.Lock()
	entries := c.corp.retained(q.Seq, int(q.Limit))
	faults, fault := c.corp.faults, c.corp.faults.takePageFault()
	c.corp.mu.Unlock()

	records, marked := make([]record, len(entries)), faults.Marker != "" && faults.MarkerSeq == 0
	for i, e := range entries {
		records[i] = record{e.Seq, e.MsgID, e.KeyVersion, e.randomKey, e.message}
		marked = marked || faults.Marker != "" && e.Seq == faults.MarkerSeq
	}
	records = fault.spoil(records, q.Seq)
	s := ok
	if marked {
		s.Errmsg = faults.Marker
	}
	page := encodePage(s, records, faults.Empty, fault)
	if faults.PageBytes > 0 && len(page) > faults.PageBytes {
		return nil, refusal(301058)
	}
	switch fault {
	case PageNotJSON:
		page = []byte("<html><body>维护中</body></html>")
	case PageBlank:
		page = nil
	case PageTruncated:
		page = page[:len(page)*2/3]
	case PageStatus500:
		http.Error(c.w, "<html><body>internal error</body></html>", http.StatusInternalServerError)
		return nil, nil
	}
	c.answerBytes("application/json; charset=UTF-8", page)
	return nil, nil
}

// spoil applies the fault to the records of a page after seq.
func (f PageFault) spoil(records []record, seq uint64) []record {
	if len(records) == 0 {
		return records
	}
	switch f {
	case PageDuplicateSeq:
		records = append(records, records[len(records)-1])
		records[len(records)-1].Seq = records[0].Seq
	case PageFallingSeq:
		slices.Reverse(records)
	case PageOldSeq:
		records[0].Seq = seq
	case PageMissingSeq:
		records[0].Seq = 0
	case PageMissingFields:
		for i := range records {
			switch i % 4 {
			case 0:
				records[i].RandomKey = ""
			case 1:
				records[i].Message = ""
			case 2:
				records[i].MsgID = ""
			case 3:
				records[i].KeyVersion = 0
			}
		}
	case PageGarbageKeys:
		for i := range records {
			records[i].RandomKey = "!" + records[i].RandomKey[1:]
		}
	}
	return records
}

// encodePage writes a page. empty is the form of a page without records.
func encodePage(s status, records []record, empty EmptyForm, fault PageFault) []byte {
	type page struct {
		status
		ChatData []record `json:"chatdata"`
	}
	switch {
	case fault == PageNoErrcode:
		return encode(struct {
			ChatData []record `json:"chatdata"`
		}{records})
	case fault == PageNoChatData, len(records) == 0 && empty == EmptyAbsent:
		return encode(s)
	case len(records) == 0 && empty == EmptyNull:
		records = nil
	}
	return encode(page{s, records})
}

var indexForm = regexp.MustCompile(`^Range:bytes=(\d{1,18})-(\d{1,18})$`)

// mediaData answers getchatmediadata with bytes. X-Is-Finish is 0 or 1.
// X-Out-Index is the index of the next chunk, and empty after the last chunk.
func (c *call) mediaData() (any, error) {
	var q struct {
		FileID string `json:"sdkfileid"`
		Index  string `json:"indexbuf"`
	}
	if err := c.decode(&q); err != nil {
		return nil, err
	}
	c.corp.mu.Lock()
	f, found := c.corp.files[q.FileID]
	since := f.kept
	if c.sim.Choices().RetainBySending {
		since = f.sent
	}
	gone := c.corp.gone(since)
	fault, marker := MediaWhole, c.corp.faults.MediaMarker
	if found && !gone {
		fault = c.corp.faults.takeMediaFault()
	}
	c.corp.mu.Unlock()
	switch {
	case !found:
		return nil, refusal(40007)
	case gone:
		return nil, refusal(301048)
	}

	from, to, err := f.chunkRange(q.Index, fault)
	if err != nil {
		return nil, err
	}
	data := f.bytesFrom(from, to-from)
	finished, next := "1", ""
	if to < f.size || fault == MediaEmptyTail && from < f.size {
		finished, next = "0", fmt.Sprintf("Range:bytes=%d-%d", to, max(to, min(to+chunkSize, f.size)-1))
	}
	switch fault {
	case MediaCorrupt:
		if len(data) > 0 {
			data[len(data)/2] ^= 0xff
		}
	case MediaNoIndex:
		finished, next = "0", ""
	case MediaNotJSON:
		http.Error(c.w, "<html><body>bad gateway</body></html>", http.StatusBadGateway)
		return nil, nil
	}
	if marker != "" {
		c.w.Header().Set("X-Marker", marker)
	}
	c.w.Header().Set("X-Is-Finish", finished)
	c.w.Header().Set("X-Out-Index", next)
	c.answerBytes("application/octet-stream", data)
	return nil, nil
}

// chunkRange reads the index of a media request. An empty index means the first
// chunk.
func (f file) chunkRange(index string, fault MediaFault) (from, to int, err error) {
	if index == "" {
		return 0, min(chunkSize, f.size), nil
	}
	m := indexForm.FindStringSubmatch(index)
	if m == nil {
		return 0, 0, refusal(40058)
	}
	from, _ = strconv.Atoi(m[1])
	last, _ := strconv.Atoi(m[2]) // both numbers fit: they have at most 18 digits
	if to = last + 1; from > last || to > f.size || to-from > chunkSize {
		if fault != MediaEmptyTail || from != f.size {
			return 0, 0, refusal(40058)
		}
		return f.size, f.size, nil
	}
	return from, to, nil
}
