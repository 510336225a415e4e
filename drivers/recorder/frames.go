package recorder

// frames finds the messages in a stream of bytes that comes in pieces of any size. Of each it keeps no more than is
// wanted.
type frames struct {
	headBytes int
	// size is how many bytes follow a head, which must not be kept; below 0 where that can be no message.
	size func(head []byte) int
	// want is how many bytes are wanted of a message that begins with first.
	want func(head []byte, size int, first byte) int
	// take is given what was wanted, which it may keep; where the message is longer, what it begins with.
	take func(head, payload []byte)

	head    []byte
	payload []byte
	left    int // bytes of the message that are still to come
	keep    int // of these, how many are wanted
	begun   bool
	lost    bool // it was no message: nothing can be told any more
}

// feed takes the next bytes in.
func (f *frames) feed(p []byte) {
	for len(p) > 0 && !f.lost {
		if len(f.head) < f.headBytes {
			n := min(f.headBytes-len(f.head), len(p))
			f.head = append(f.head, p[:n]...)
			p = p[n:]
			if len(f.head) < f.headBytes {
				return
			}
			f.left, f.begun = f.size(f.head), false
			f.lost = f.left < 0
			if f.left == 0 {
				f.head = f.head[:0]
			}
			continue
		}
		if !f.begun {
			f.begun, f.payload = true, nil
			f.keep = min(f.want(f.head, f.left, p[0]), f.left)
		}
		n := min(f.left, len(p))
		if f.keep > 0 {
			k := min(f.keep, n)
			f.payload = append(f.payload, p[:k]...)
			if f.keep -= k; f.keep == 0 {
				f.take(f.head, f.payload)
			}
		}
		f.left -= n
		p = p[n:]
		if f.left == 0 {
			f.head = f.head[:0]
		}
	}
}

// message is one of the client's that is wanted.
type message struct {
	kind    byte
	payload []byte
	whole   bool // rather than only its beginning
	// prepares is the statement that it prepares, on MySQL.
	prepares *statement
}
