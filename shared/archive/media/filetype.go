package media

import (
	"bytes"
	"slices"
)

// Type is the type of a file by its first bytes, among the types that a browser
// or our own page shows or plays; empty for all others. The name and extension
// that a message gives its file decide nothing.
type Type string

// The types.
const (
	JPEG  Type = "image/jpeg"
	PNG   Type = "image/png"
	GIF   Type = "image/gif"
	WebP  Type = "image/webp"
	MP4   Type = "video/mp4"
	M4A   Type = "audio/mp4"
	MP3   Type = "audio/mpeg"
	WAV   Type = "audio/wav"
	AMR   Type = "audio/amr"    // narrowband; our page decodes it
	AMRWB Type = "audio/amr-wb" // wideband; our page decodes it
	SILK  Type = "audio/silk"   // Skype's codec, often named .amr; our page decodes it
	Other Type = ""
)

// SniffLen is the number of bytes that [Sniff] reads.
const SniffLen = 16

// signatures are the bytes with which files of a type begin.
var signatures = []struct {
	at    int
	bytes string
	is    Type
}{
	{0, "\xff\xd8\xff", JPEG},
	{0, "\x89PNG\r\n\x1a\n", PNG},
	{0, "GIF87a", GIF},
	{0, "GIF89a", GIF},
	{8, "WEBP", WebP}, // after RIFF and a length
	{8, "WAVE", WAV},
	{0, "ID3", MP3},
	{0, "#!AMR\n", AMR},
	{0, "#!AMR-WB\n", AMRWB},
	{0, "#!SILK_V3", SILK},
	{0, "\x02#!SILK_V3", SILK}, // Tencent's form
}

// mp4Brands lists the major brands of videos that browsers play, from MP4's
// registry (mp4ra.org). Pictures (heic, avif), QuickTime videos (qt) and other
// files begin with the same box, and browsers do not play them.
var mp4Brands = []string{
	"isom", "iso2", "iso3", "iso4", "iso5", "iso6", "iso7", "iso8", "iso9",
	"mp41", "mp42", "avc1", "dash", "MSNV", "M4V ",
}

// ofBrand returns the type of a file that begins with an "ftyp" box. The box
// holds its length, its name, and the major brand.
func ofBrand(head []byte) Type {
	switch brand := string(head[8:12]); {
	case slices.Contains(mp4Brands, brand):
		return MP4
	case brand == "M4A ":
		return M4A
	}
	return Other
}

// Sniff returns the type of a file by head: its first [SniffLen] bytes or more,
// or the whole file if it is shorter.
func Sniff(head []byte) Type {
	for _, s := range signatures {
		if len(head) < s.at || !bytes.HasPrefix(head[s.at:], []byte(s.bytes)) {
			continue
		}
		if s.at == 8 && !bytes.HasPrefix(head, []byte("RIFF")) {
			continue
		}
		return s.is
	}
	if len(head) >= 12 && string(head[4:8]) == "ftyp" {
		return ofBrand(head)
	}
	// An MPEG audio frame has 11 bits of sync, a version that is not reserved,
	// layer 3, and a bit rate that is not reserved.
	if len(head) >= 3 && head[0] == 0xff && head[1]&0xe6 == 0xe2 && head[1]&0x18 != 0x08 && head[2]&0xf0 != 0xf0 {
		return MP3
	}
	return Other
}
