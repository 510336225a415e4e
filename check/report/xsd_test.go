package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// xsd is a schema of XML, as far as that of JUnit goes: which elements and attributes an element has, whether it has
// text, and patterns of values. What it does not know of XSD is an error of reading it, so that nothing is let through.
type xsd map[string]*xsdElement

// xsdElement is a declared element.
type xsdElement struct {
	children   []string
	attributes map[string]xsdAttribute
	text       bool
}

type xsdAttribute struct {
	required bool
	pattern  *regexp.Regexp // nil: any text
}

// xsdNode is an element of the schema's own text.
type xsdNode struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []xsdNode  `xml:",any"`
}

func (n xsdNode) attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// readXSD reads a schema whose elements are declared at its top, and of which a choice may have any number.
func readXSD(data []byte) (xsd, error) {
	var root xsdNode
	if err := xml.Unmarshal(data, &root); err != nil {
		return nil, err
	}
	out, patterns, types := xsd{}, map[string]*regexp.Regexp{}, map[string]*xsdElement{}
	for _, n := range root.Children { // types are declared above what is of them
		name := n.attr("name")
		var err error
		switch {
		case n.XMLName.Local == "simpleType":
			patterns[name], err = regexp.Compile("^(?:" + n.Children[0].Children[0].attr("value") + ")$")
		case n.XMLName.Local == "complexType":
			types[name] = &xsdElement{attributes: map[string]xsdAttribute{}, text: n.attr("mixed") == "true"}
			err = types[name].read(n.Children, patterns)
		case n.XMLName.Local != "element":
			err = fmt.Errorf("%s: not known", n.XMLName.Local)
		case n.attr("type") == "xs:string":
			out[name] = &xsdElement{text: true}
		case n.attr("type") != "":
			out[name] = types[n.attr("type")]
		default:
			kind := n.Children[0]
			out[name] = &xsdElement{attributes: map[string]xsdAttribute{}, text: kind.attr("mixed") == "true"}
			err = out[name].read(kind.Children, patterns)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", n.XMLName.Local, name, err)
		}
	}
	return out, nil
}

func (e *xsdElement) read(nodes []xsdNode, patterns map[string]*regexp.Regexp) error {
	for _, n := range nodes {
		switch n.XMLName.Local {
		case "sequence", "choice":
			if err := e.read(n.Children, patterns); err != nil {
				return err
			}
		case "element":
			e.children = append(e.children, n.attr("ref")+n.attr("name"))
		case "attribute":
			e.attributes[n.attr("name")] = xsdAttribute{n.attr("use") == "required", patterns[n.attr("type")]}
			if kind := n.attr("type"); kind != "xs:string" && patterns[kind] == nil {
				return fmt.Errorf("type %s: not known", kind)
			}
		default:
			return fmt.Errorf("%s: not known", n.XMLName.Local)
		}
	}
	return nil
}

// validate holds a document against the schema.
func (s xsd) validate(document []byte) error {
	var open []string
	d := xml.NewDecoder(bytes.NewReader(document))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			name := token.Name.Local
			if len(open) > 0 && !slices.Contains(s[open[len(open)-1]].children, name) {
				return fmt.Errorf("%s in %s", name, open[len(open)-1])
			}
			if err := s.start(token); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			open = append(open, name)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 && !s[open[len(open)-1]].text && strings.TrimSpace(string(token)) != "" {
				return fmt.Errorf("text in %s", open[len(open)-1])
			}
		}
	}
}

func (s xsd) start(token xml.StartElement) error {
	declared := s[token.Name.Local]
	if declared == nil {
		return errors.New("not declared")
	}
	given := map[string]bool{}
	for _, a := range token.Attr {
		known, ok := declared.attributes[a.Name.Local]
		if !ok {
			return fmt.Errorf("attribute %s is not declared", a.Name.Local)
		}
		if known.pattern != nil && !known.pattern.MatchString(a.Value) {
			return fmt.Errorf("attribute %s is %q", a.Name.Local, a.Value)
		}
		given[a.Name.Local] = true
	}
	for name, a := range declared.attributes {
		if a.required && !given[name] {
			return fmt.Errorf("attribute %s is missing", name)
		}
	}
	return nil
}
