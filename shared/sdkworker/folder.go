//go:build linux

package sdkworker

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// folderPattern is the name of a worker's working folder.
const folderPattern = "finance-sdk-*"

// A folder is the working folder of one worker. The parent holds a lock on it, which
// ends with the parent, however that ends. So a folder without a lock is one that a
// killed parent left behind.
type folder struct {
	path string
	lock *os.File
}

// newFolder makes an empty folder in the folder for temporary files. After a crash
// behind this call the folder stays until the next [NewPool].
func newFolder() (folder, error) {
	for {
		path, err := os.MkdirTemp("", folderPattern)
		if err != nil {
			return folder{}, err
		}
		lock, err := lockFolder(path)
		if err == nil && stillThere(path, lock) {
			return folder{path, lock}, nil
		}
		// Another process took the folder for one that was left, before the lock.
		if lock != nil {
			lock.Close()
		}
		if err != nil && err != unix.EWOULDBLOCK && !os.IsNotExist(err) {
			_ = os.RemoveAll(path)
			return folder{}, err
		}
	}
}

func (f folder) remove() error {
	defer f.lock.Close()
	return os.RemoveAll(f.path)
}

// lockFolder opens a folder and locks it. It returns EWOULDBLOCK if another process
// holds the lock.
func lockFolder(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// stillThere reports whether the path is the folder that is locked.
func stillThere(path string, lock *os.File) bool {
	locked, err := lock.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(locked, named)
}

// removeLeftFolders removes the folders of workers whose parents were killed. In
// Lambda the files of an invocation that ran out of time are there in the next one,
// which may serve another corp.
func removeLeftFolders() error {
	paths, err := filepath.Glob(filepath.Join(os.TempDir(), folderPattern))
	if err != nil {
		return fmt.Errorf("list folders of library processes: %w", err)
	}
	var failed error
	for _, path := range paths {
		lock, err := lockFolder(path)
		if err != nil {
			continue // its parent lives, or another process removes it
		}
		if err := (folder{path, lock}).remove(); err != nil {
			failed = fmt.Errorf("remove the folder of a library process: %w", err)
		}
	}
	return failed
}
