package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"sort"
	"strconv"
)

// Fingerprint hashes the whole model. Two databases have the same one exactly when they hold the same
// objects with the same properties, in whatever order and however they came to be. It begins with the
// version of the way it is made: "s3:".
func (d *Database) Fingerprint() string { return d.Sums().Fingerprint() }

func (k Key) text() string {
	return strconv.Itoa(len(k.Schema)) + ":" + k.Schema + string(k.Kind) + ":" + k.Name
}

// Sums are the hashes of a model's settings, items and schemas, and of what is in those. An object can be replaced without
// reading the others again, and the fingerprint then costs the same however many there are: the hashes
// stand in a tree of two levels, by the first byte of their key's hash.
type Sums struct {
	leaves [256]map[Key][sha256.Size]byte
	inner  [256][sha256.Size]byte
	stale  [256]bool
}

// Sums hashes the model's objects one by one.
func (d *Database) Sums() *Sums {
	s := &Sums{}
	s.Merge(d)
	for _, n := range d.Schemas {
		s.set(Key{Schema: n.Name}, func(sum hash.Hash) { writeObject(sum, n, false) })
	}
	for _, o := range concat(objects(d.Settings), objects(d.Items)) {
		s.set(Key{Kind: o.Kind(), Name: o.ObjectName()}, func(sum hash.Hash) { writeObject(sum, o, true) })
	}
	return s
}

// Merge puts what is in the schemas of a model that holds a part of the database in, and replaces what was
// there of it.
func (s *Sums) Merge(part *Database) {
	for _, n := range part.Schemas {
		for _, o := range n.Children() {
			s.set(Key{n.Name, o.Kind(), o.ObjectName()}, func(sum hash.Hash) { writeObject(sum, o, true) })
		}
	}
}

// Remove takes an object out, and tells whether it was there.
func (s *Sums) Remove(k Key) bool {
	b := bucket(k)
	_, there := s.leaves[b][k]
	delete(s.leaves[b], k)
	s.stale[b] = true
	return there
}

func (s *Sums) set(k Key, write func(hash.Hash)) {
	sum := sha256.New()
	write(sum)
	b := bucket(k)
	if s.leaves[b] == nil {
		s.leaves[b] = map[Key][sha256.Size]byte{}
	}
	s.leaves[b][k] = [sha256.Size]byte(sum.Sum(nil))
	s.stale[b] = true
}

func bucket(k Key) byte {
	sum := sha256.Sum256([]byte(k.text()))
	return sum[0]
}

// Fingerprint is the fingerprint of all that is in.
func (s *Sums) Fingerprint() string {
	all := sha256.New()
	for b := range s.inner {
		if s.stale[b] {
			s.inner[b], s.stale[b] = hashLeaf(s.leaves[b]), false
		}
		all.Write(s.inner[b][:])
	}
	return "s3:" + hex.EncodeToString(all.Sum(nil))
}

func hashLeaf(leaf map[Key][sha256.Size]byte) [sha256.Size]byte {
	if len(leaf) == 0 {
		return [sha256.Size]byte{}
	}
	lines := make([]string, 0, len(leaf))
	for k, sum := range leaf {
		text := k.text()
		lines = append(lines, strconv.Itoa(len(text))+":"+text+string(sum[:]))
	}
	slices.Sort(lines)
	h := sha256.New()
	for _, line := range lines {
		h.Write([]byte(line))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// writeObject writes an object and, if asked, what is below it, ordered by kind and name. Each text is
// preceded by its length, so no two different trees are written alike.
func writeObject(sum hash.Hash, o Object, below bool) {
	var buf []byte
	text := func(s string) {
		buf = strconv.AppendInt(buf, int64(len(s)), 10)
		buf = append(append(buf, ':'), s...)
	}
	text(string(o.Kind()))
	text(o.ObjectName())
	for _, p := range o.Properties() {
		if p.Value != "" {
			text(p.Name)
			text(p.Value)
		}
	}
	buf = append(buf, '{')
	sum.Write(buf)
	if below {
		list := o.Children()
		sort.SliceStable(list, func(i, j int) bool {
			if a, b := list[i].Kind(), list[j].Kind(); a != b {
				return a < b
			}
			return list[i].ObjectName() < list[j].ObjectName()
		})
		for _, c := range list {
			writeObject(sum, c, true)
		}
	}
	sum.Write([]byte{'}'})
}
