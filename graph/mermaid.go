package graph

import (
	"fmt"
	"io"
	"strings"
)

// Mermaid writes the graph as an entity relationship diagram of Mermaid, which GitHub and many editors draw
// (https://mermaid.js.org/syntax/entityRelationshipDiagram.html).
func (g *Graph) Mermaid(w io.Writer) error {
	var b strings.Builder
	b.WriteString("erDiagram\n")
	for i, t := range g.Tables {
		fmt.Fprintf(&b, "  t%d[\"%s\"] {\n", i, mermaidText(t.Name))
		for _, c := range t.Columns {
			b.WriteString("    " + mermaidColumn(c) + "\n")
		}
		b.WriteString("  }\n")
	}
	for _, k := range g.Keys {
		parent, child := "||", "o{"
		if k.Optional {
			parent = "|o"
		}
		if k.One {
			child = "o|"
		}
		fmt.Fprintf(&b, "  t%d %s--%s t%d : \"%s\"\n", k.To, parent, child, k.From, mermaidText(k.Name))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// mermaidColumn is an attribute. Its type and name may be words only; what had to be changed for that is
// said again in its comment.
func mermaidColumn(c Column) string {
	typ, name := mermaidWord(c.Type), mermaidWord(c.Name)
	text := typ + " " + name
	var keys []string
	if c.Primary {
		keys = append(keys, "PK")
	}
	if c.Foreign {
		keys = append(keys, "FK")
	}
	if len(keys) > 0 {
		text += " " + strings.Join(keys, ", ")
	}
	var comment []string
	if name != c.Name {
		comment = append(comment, c.Name)
	}
	if typ != c.Type {
		comment = append(comment, c.Type)
	}
	if len(comment) > 0 {
		text += ` "` + mermaidText(strings.Join(comment, ": ")) + `"`
	}
	return text
}

// mermaidWord makes a word of a name: letters, digits and underscores, with a letter in front.
func mermaidWord(name string) string {
	word := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	if word == "" || word[0] == '_' || word[0] >= '0' && word[0] <= '9' {
		word = "x" + word
	}
	return word
}

// mermaidText is text in quotes. Mermaid knows entities by their number; all that is no letter, digit or
// harmless mark becomes one.
func mermaidText(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(" _.,:()[]-/=+*", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "#%d;", r)
	}
	return b.String()
}
