package wecom

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom/chat"
)

const (
	chunkSize = 512 << 10 // largest size of a media answer (document 91774)
	maxFile   = 1 << 30
)

// A file belongs to a message. The bytes follow from id, extension and size. They
// are made when a client fetches them.
type file struct {
	id   string
	ext  string
	size int
	sent time.Time
	kept time.Time // time of archiving
}

// usualSize is the smallest and the largest usual size of a file, by extension.
var usualSize = map[string][2]int{
	"jpg": {4 << 10, 60 << 10}, "png": {2 << 10, 20 << 10}, "gif": {4 << 10, 40 << 10}, "amr": {1 << 10, 20 << 10},
	"mp4": {50 << 10, 700 << 10}, "": {2 << 10, 100 << 10},
}

// attach makes a file. A negative size means a usual size.
func (c *Corp) attach(ext string, size int, lie MD5Lie, sent time.Time) chat.Attachment {
	if size < 0 {
		bounds, ok := usualSize[ext]
		if !ok {
			bounds = usualSize[""]
		}
		size = min(bounds[0]+c.rand.IntN(bounds[1]-bounds[0]), c.sim.cfg.UsualMediaMax)
	}
	f := file{id: c.newFileID(), ext: ext, size: size, sent: sent, kept: c.sim.cfg.Now()}
	c.files[f.id] = f
	a := chat.Attachment{FileID: f.id, Size: size}
	switch lie {
	case MD5True:
		a.MD5 = f.md5()
	case MD5Wrong:
		sum := md5.Sum([]byte(f.id))
		a.MD5 = hex.EncodeToString(sum[:])
	}
	return a
}

// newFileID invents an sdkfileid. Like the real ids, it is the base64 of bytes
// that look like a protobuf with a hex key at the end.
func (c *Corp) newFileID() string {
	blob := make([]byte, 120+c.rand.IntN(120))
	_, _ = c.bytes.Read(blob)
	copy(blob, []byte{0x0a, byte(len(blob) - 2)})
	var key [32]byte
	_, _ = c.bytes.Read(key[:])
	return base64.StdEncoding.EncodeToString(append(blob, hex.EncodeToString(key[:])...))
}

func (f file) chunks() int { return (f.size + chunkSize - 1) / chunkSize }

// chunk makes the bytes of chunk i.
func (f file) chunk(i int) []byte {
	b := make([]byte, min(chunkSize, f.size-i*chunkSize))
	_, _ = rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint32([]byte(f.id), uint32(i)))).Read(b)
	if i == 0 {
		copy(b, f.head())
	}
	return b
}

// bytesFrom makes n bytes, beginning at offset.
func (f file) bytesFrom(offset, n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		part := f.chunk(offset / chunkSize)[offset%chunkSize:]
		part = part[:min(len(part), n-len(b))]
		b = append(b, part...)
		offset += len(part)
	}
	return b
}

// tone is one second of 440 Hz as AMR. Its frames have 32 bytes.
//
//go:embed tone.amr
var tone []byte

// film is two seconds of a sun that crosses the sky, as MP4.
//
//go:embed film.mp4
var film []byte

// head is the beginning of the file. It is a complete picture, film or playable
// voice, so that a browser shows or plays the file. Decoders of pictures ignore the
// random bytes after the picture.
func (f file) head() []byte {
	var b bytes.Buffer
	var err error
	sum := sha256.Sum256([]byte(f.id))
	fill := func(img interface{ Set(x, y int, c color.Color) }) {
		for y := range 32 {
			for x := range 48 {
				img.Set(x, y, color.RGBA{sum[0], sum[1] ^ byte(4*x), sum[2] ^ byte(6*y), 255})
			}
		}
	}
	switch f.ext {
	case "jpg":
		img := image.NewRGBA(image.Rect(0, 0, 48, 32))
		if f.size >= landscapeMin {
			img = landscape(sum)
		} else {
			fill(img)
		}
		err = jpeg.Encode(&b, img, nil)
	case "png":
		img := image.NewRGBA(image.Rect(0, 0, 48, 32))
		fill(img)
		err = png.Encode(&b, img)
	case "gif":
		img := image.NewPaletted(image.Rect(0, 0, 48, 32), color.Palette{color.White, color.RGBA{sum[0], sum[1], sum[2], 255}})
		for i := range img.Pix {
			img.Pix[i] = byte(i/8+i/384) % 2
		}
		err = gif.Encode(&b, img, nil)
	case "amr":
		// Whole frames of the tone are followed by empty frames. Every player
		// accepts both.
		head, frames := tone[:6], tone[6:]
		b.Write(head)
		size := min(f.size, chunkSize)
		for i := 0; b.Len()+32 <= size; i = (i + 32) % len(frames) {
			b.Write(frames[i : i+32])
		}
		b.Write(bytes.Repeat([]byte{0x7c}, max(0, size-b.Len())))
	case "mp4":
		b.Write(film)
		// A free box of size 0 takes in the rest of the file.
		b.WriteString("\x00\x00\x00\x00free")
	}
	if err != nil {
		panic(fmt.Sprintf("wecom: draw a %s: %v", f.ext, err)) // impossible: the picture is small and goes to memory
	}
	return b.Bytes()
}

// landscapeMin is the size of a file that every landscape fits in.
const landscapeMin = 16 << 10

// landscape draws a sun over two rows of hills, so that a chat has pictures worth
// looking at. The sum gives the colours and the hills.
func landscape(sum [sha256.Size]byte) *image.RGBA {
	const width, height = 480, 360
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	share := func(i int) float64 { return float64(sum[i]) / 255 }
	// between mixes two colours.
	between := func(a, b [3]float64, part float64) color.RGBA {
		mix := func(i int) uint8 { return uint8(a[i] + (b[i]-a[i])*part) }
		return color.RGBA{mix(0), mix(1), mix(2), 255}
	}
	top, low := [3]float64{70 + 60*share(0), 130 + 50*share(1), 220}, [3]float64{255, 215 + 30*share(2), 170 + 60*share(3)}
	far, near := [3]float64{90 + 40*share(4), 140 + 30*share(5), 150}, [3]float64{40, 90 + 40*share(6), 70}
	sunX, sunY, radius := width*(0.2+0.6*share(7)), height*(0.25+0.15*share(8)), 26+14*share(9)
	hills := func(x, base float64, i int) float64 {
		return height * (base + 0.07*math.Sin(x/(50+30*share(i))+6*share(i+1)) + 0.03*math.Sin(x/(17+9*share(i+2))))
	}
	for x := range width {
		farTop, nearTop := hills(float64(x), 0.62, 10), hills(float64(x), 0.8, 13)
		for y := range height {
			fx, fy := float64(x), float64(y)
			switch {
			case fy > nearTop:
				img.SetRGBA(x, y, between(near, low, 0.15*(height-fy)/height))
			case fy > farTop:
				img.SetRGBA(x, y, between(far, low, 0.5*(nearTop-fy)/height))
			case math.Hypot(fx-sunX, fy-sunY) < radius:
				img.SetRGBA(x, y, color.RGBA{255, 246, 214, 255})
			default:
				img.SetRGBA(x, y, between(top, low, fy/height))
			}
		}
	}
	return img
}

func (f file) md5() string {
	h := md5.New()
	for i := range f.chunks() {
		h.Write(f.chunk(i))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// FileSums lists the MD5 of all files of the corp's messages, in no order.
func (c *Corp) FileSums() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sums []string
	for _, f := range c.files {
		sums = append(sums, f.md5())
	}
	return sums
}
