package snapshot

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maskWriter masks the fields of lines. It holds back a line until its end is written.
type maskWriter struct {
	mask  *Mask
	to    io.Writer
	rules []*MaskRule // by the column's place
	rest  []byte
	out   bytes.Buffer
}

// Write implements io.Writer.
func (w *maskWriter) Write(data []byte) (int, error) {
	n := len(data)
	w.out.Reset()
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			break
		}
		line := data[:end]
		if len(w.rest) > 0 {
			line = append(w.rest, line...)
			w.rest = nil
		}
		if err := w.line(line); err != nil {
			return 0, err
		}
		data = data[end+1:]
	}
	w.rest = append(w.rest, data...)
	_, err := w.to.Write(w.out.Bytes())
	return n, err
}

func (w *maskWriter) line(line []byte) error {
	for i, field := range bytes.Split(line, []byte{'\t'}) {
		if i > 0 {
			w.out.WriteByte('\t')
		}
		if i >= len(w.rules) {
			return fmt.Errorf("a row has more fields than the table has columns, %d", len(w.rules))
		}
		if rule := w.rules[i]; rule == nil || string(field) == `\N` {
			w.out.Write(field)
		} else if rule.Kind == MaskNull {
			w.out.WriteString(`\N`)
		} else {
			masked, err := w.mask.Value(*rule, unescape(field))
			if err != nil {
				return err
			}
			w.out.WriteString(escape(masked))
		}
	}
	w.out.WriteByte('\n')
	return nil
}

// unescape reads a field of COPY's or LOAD DATA's text.
func unescape(field []byte) string {
	if !bytes.ContainsRune(field, '\\') {
		return string(field)
	}
	var b strings.Builder
	for i := 0; i < len(field); i++ {
		if field[i] != '\\' || i+1 == len(field) {
			b.WriteByte(field[i])
			continue
		}
		i++
		switch field[i] {
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'v':
			b.WriteByte('\v')
		case '0':
			b.WriteByte(0)
		default:
			b.WriteByte(field[i])
		}
	}
	return b.String()
}

func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(text)
}

// Value is what becomes of a value that is not NULL. The error is for one that has not the form its rule asks
// for; it does not show the value.
func (m *Mask) Value(rule MaskRule, value string) (string, error) {
	switch rule.Kind {
	case MaskConstant:
		return rule.Constant, nil
	case MaskHash:
		return hex.EncodeToString(m.sum(value)[:8]), nil
	case MaskEmail:
		return "user-" + hex.EncodeToString(m.sum(value)[:6]) + "@example.com", nil
	case MaskName:
		h := m.sum(value)
		first, last := strings.Fields(firstNames), strings.Fields(lastNames)
		return first[int(h[0])%len(first)] + " " + last[int(h[1])%len(last)], nil
	case MaskNumber:
		return m.number(value)
	case MaskDate:
		return m.date(value)
	case MaskRedact:
		return redacted(value), nil
	}
	return "", fmt.Errorf("no value can be made by the rule %s", rule.Kind)
}

func (m *Mask) sum(value string) []byte {
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte(value))
	return h.Sum(nil)
}

// number permutes the whole numbers of as many bits, by a Feistel network that walks until it is among them
// again (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002), so that keys stay unique and in the
// range of their type.
func (m *Mask) number(value string) (string, error) {
	text, negative := strings.CutPrefix(value, "-")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return "", fmt.Errorf("a value is no whole number, as the rule number needs")
	}
	if negative && n > 0 { // -1 is the first of them, so that the least of a type stays in its range
		n--
	}
	width := bits.Len64(n)
	if width > 1 {
		low := uint64(1) << (width - 1) // the highest bit stays
		n = low | m.permute(n&^low, width-1)
	}
	if negative {
		return "-" + strconv.FormatUint(n+1, 10), nil
	}
	return strconv.FormatUint(n, 10), nil
}

// permute is a permutation of the numbers of that many bits.
func (m *Mask) permute(n uint64, width int) uint64 {
	half := (width + 1) / 2
	low := uint64(1)<<half - 1
	for limit := uint64(1) << width; ; {
		l, r := n>>half, n&low
		for round := range byte(6) {
			l, r = r, l^m.round(round, byte(width), r)&low
		}
		if n = l<<half | r; n < limit {
			return n
		}
	}
}

func (m *Mask) round(round, width byte, n uint64) uint64 {
	h := hmac.New(sha256.New, m.key)
	h.Write(binary.LittleEndian.AppendUint64([]byte{round, width}, n))
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

// shift is how many days a date is moved at most.
const shift = 182

// date moves the date a text begins with. What is no date of the calendar, such as infinity, stays.
func (m *Mask) date(value string) (string, error) {
	const layout = "2006-01-02"
	if len(value) < len(layout) {
		return value, nil
	}
	day, err := time.Parse(layout, value[:len(layout)])
	if err != nil {
		return value, nil
	}
	by := int(binary.LittleEndian.Uint32(m.sum(value[:len(layout)]))%(2*shift+1)) - shift
	return day.AddDate(0, 0, by).Format(layout) + value[len(layout):], nil
}

func redacted(value string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsDigit(r):
			return '0'
		case unicode.IsLetter(r):
			return 'x'
		}
		return r
	}, value)
}

const (
	firstNames = "Ada Alan Barbara Bjarne Dennis Donald Edsger Frances Grace Hedy Jean John Katherine Ken Leslie Lynn Margaret Mary Niklaus Radia Robin Sophie Tim Tony"
	lastNames  = "Allen Backus Bartik Conway Dijkstra Hamilton Hoare Hopper Johnson Kernighan Knuth Lamarr Lamport Liskov Lovelace Milner Perlman Ritchie Shaw Thompson Turing Wilson Wirth"
)
