package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sort"
	"strconv"
)

// Fingerprint hashes the whole model. Two databases have the same one exactly when they hold the same
// objects with the same properties, in whatever order and however they came to be. It begins with the
// version of the way it is made: "s1:".
func (d *Database) Fingerprint() string {
	sum := sha256.New()
	add(sum, d.Objects())
	return "s1:" + hex.EncodeToString(sum.Sum(nil))
}

// add hashes a list of siblings, ordered by kind and name. Each text is preceded by its length, so no
// two different trees are written alike.
func add(sum hash.Hash, list []Object) {
	sort.SliceStable(list, func(i, j int) bool {
		if a, b := list[i].Kind(), list[j].Kind(); a != b {
			return a < b
		}
		return list[i].ObjectName() < list[j].ObjectName()
	})
	var buf []byte
	text := func(s string) {
		buf = strconv.AppendInt(buf, int64(len(s)), 10)
		buf = append(append(buf, ':'), s...)
	}
	for _, o := range list {
		buf = buf[:0]
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
		add(sum, o.Children())
		sum.Write([]byte{'}'})
	}
}
