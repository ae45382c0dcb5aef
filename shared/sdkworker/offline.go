package sdkworker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// OfflineRecord is the path of the record that belongs to a library. The record
// says that Init of the library succeeded in a worker without sockets, and holds
// the library's SHA-256 in hexadecimal digits. `make layer` writes it beside the
// library, and the layer contains both.
func OfflineRecord(library string) string { return library + ".works-offline" }

// WorksOffline reports whether there is a record of exactly this library. A
// parent that only decrypts then sets [Config.NoSockets]. A missing or
// unreadable record, and the record of another library, mean false: the workers
// keep their sockets.
func WorksOffline(library string) bool {
	record, err := os.ReadFile(OfflineRecord(library))
	if err != nil {
		return false
	}
	sum, err := digest(library)
	return err == nil && strings.TrimSpace(string(record)) == sum
}

// RecordOffline writes the record of a library.
func RecordOffline(library string) error {
	sum, err := digest(library)
	if err != nil {
		return fmt.Errorf("read the library: %w", err)
	}
	return os.WriteFile(OfflineRecord(library), []byte(sum+"\n"), 0o644)
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
