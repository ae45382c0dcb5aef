package media_test

import (
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive/media"
)

func TestSniff(t *testing.T) {
	for head, want := range map[string]media.Type{
		"\xff\xd8\xff\xe0":                         media.JPEG,
		"\x89PNG\r\n\x1a\nxxxx":                    media.PNG,
		"GIF89a":                                   media.GIF,
		"RIFF\x00\x00\x00\x00WEBPVP8 ":             media.WebP,
		"RIFF\x00\x00\x00\x00WAVEfmt ":             media.WAV,
		"XXXX\x00\x00\x00\x00WEBPVP8 ":             media.Other,
		"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00": media.MP4,
		"\x00\x00\x00\x18ftypisom":                 media.MP4,
		"\x00\x00\x00\x18ftypM4V ":                 media.MP4,
		"\x00\x00\x00\x18ftypM4A ":                 media.M4A,
		"\x00\x00\x00\x18ftypheic":                 media.Other,
		"\x00\x00\x00\x18ftypmif1":                 media.Other,
		"\x00\x00\x00\x18ftypavif":                 media.Other,
		"\x00\x00\x00\x14ftypqt  ":                 media.Other,
		"\x00\x00\x00\x18ftyp":                     media.Other,
		"ID3\x03":                                  media.MP3,
		"\xff\xfb\x90":                             media.MP3,
		"\xff\xff\xff":                             media.Other,
		"#!AMR\n\x3c":                              media.AMR,
		"#!AMR-WB\n":                               media.AMRWB,
		"\x02#!SILK_V3":                            media.SILK,
		"":                                         media.Other,
		"<svg xmlns='http://www.w3.org/2000":       media.Other,
		"<!DOCTYPE html>":                          media.Other,
		"%PDF-1.7":                                 media.Other,
	} {
		if got := media.Sniff([]byte(head)); got != want {
			t.Errorf("%q: got %q, want %q", head, got, want)
		}
	}
}
