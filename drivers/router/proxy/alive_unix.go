//go:build unix

package proxy

import "syscall"

// alive tells whether an unused connection can still carry a request. The backend has nothing to
// say on it, so anything but "try again later" means that it was closed or is out of step. The look
// costs one system call and never waits.
func (c *backendConn) alive() bool {
	if c.raw == nil {
		return true
	}
	ok := false
	err := c.raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, err := syscall.Read(int(fd), one[:])
		ok = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true // answered: do not wait until there is something to read
	})
	return err == nil && ok
}
