package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of the file. They keep the parser, which recurses and keeps the path
// of every node, small on any input.
const (
	maxFileBytes = 64 << 10
	maxTokens    = 20_000
	maxDepth     = 16
	maxNodes     = 10_000 // after aliases are replaced by what they stand for
)

type kind int

const (
	kindNull kind = iota
	kindText
	kindWhole
	kindNumber // a number that is not a plain whole one
	kindFlag
	kindList
	kindMapping
	kindInvalid // reported already
	kindEnviron // the text of a variable: its setting says what it is
)

// String names the kind as an error message says it.
func (k kind) String() string {
	return [...]string{"nothing", "text", "a whole number", "a number", "true or false", "a list",
		"a section", "an invalid value", "text"}[k]
}

// node is one value of the file or of the environment.
type node struct {
	kind  kind
	where string
	text  string // scalars, as written
	items []node // kindList
	pairs []pair // kindMapping, keys unique
}

type pair struct {
	key   string
	where string
	value node
}

// tree turns the bytes of a file into a node, with the faults of the YAML
// itself. Where there is a fault that leaves no tree the node is kindInvalid.
func tree(file string, src []byte) (node, []Problem) {
	b := &treeBuilder{file: file, anchors: map[string]ast.Node{}}
	root, ok := b.parse(src)
	if !ok {
		return node{kind: kindInvalid, where: file}, b.problems
	}
	if root == nil {
		return node{kind: kindNull, where: file}, nil
	}
	return b.node(root, 0), b.problems
}

type treeBuilder struct {
	file     string
	anchors  map[string]ast.Node
	nodes    int
	tooLarge bool // reported once
	problems []Problem
}

func (b *treeBuilder) report(id string, line int, message, fix string) {
	where := b.file
	if line > 0 {
		where = fmt.Sprintf("%s:%d", b.file, line)
	}
	b.problems = append(b.problems, newProblem(where, fault{id, message, fix}))
}

func (b *treeBuilder) notYAML(line int, message string) (ast.Node, bool) {
	b.report(idNotYAML, line, "not usable YAML: "+message, "correct the file; settings are read only from valid YAML")
	return nil, false
}

func (b *treeBuilder) parse(src []byte) (ast.Node, bool) {
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	if !utf8.Valid(src) || bytes.IndexByte(src, 0) >= 0 {
		return b.notYAML(0, "it is not UTF-8 text")
	}
	tokens := lexer.Tokenize(string(src))
	if line, why := tooMuch(tokens); why != "" {
		return b.notYAML(line, why)
	}
	// Duplicate keys are reported by node, together with everything else.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		message, line := "syntax error", 0
		// err.Error() would quote the source around the error, secrets included.
		if e, ok := errors.AsType[yaml.Error](err); ok {
			if m := e.GetMessage(); !strings.Contains(m, `"`) {
				message = m
			}
			if tk := e.GetToken(); tk != nil {
				line = tk.Position.Line
			}
		}
		return b.notYAML(line, message)
	}
	var root ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case doc.Body.Type() == ast.DirectiveType:
			return b.notYAML(doc.Body.GetToken().Position.Line, "directives are not supported")
		case root != nil:
			return b.notYAML(doc.Body.GetToken().Position.Line, "the file holds a second document")
		default:
			root = doc.Body
		}
	}
	return root, true
}

// tooMuch counts nesting before the parser recurses into it.
func tooMuch(tokens token.Tokens) (line int, why string) {
	if len(tokens) > maxTokens {
		return 0, "the file is too large"
	}
	flow, inLine, line := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, inLine = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			if flow == 0 {
				inLine++
			}
		}
		if flow > maxDepth || inLine > maxDepth {
			return line, "it is nested too deep"
		}
	}
	return 0, ""
}

func (b *treeBuilder) node(n ast.Node, depth int) node {
	line := 0
	if n != nil && n.GetToken() != nil {
		line = n.GetToken().Position.Line
	}
	out := node{where: fmt.Sprintf("%s:%d", b.file, line)}
	b.nodes++
	if b.nodes > maxNodes || depth > maxDepth {
		if !b.tooLarge {
			b.tooLarge = true
			b.notYAML(line, "it is nested too deep or its aliases repeat too much")
		}
		out.kind = kindInvalid
		return out
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		out.kind = kindNull
	case *ast.StringNode:
		out.kind, out.text = kindText, n.Value
	case *ast.LiteralNode:
		out.kind, out.text = kindText, n.Value.Value
	case *ast.BoolNode:
		out.kind, out.text = kindFlag, "false"
		if n.Value {
			out.text = "true"
		}
	case *ast.IntegerNode:
		out.kind, out.text = kindWhole, n.Token.Value
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind = kindNumber
	case *ast.SequenceNode:
		out.kind = kindList
		for _, v := range n.Values {
			out.items = append(out.items, b.node(v, depth+1))
		}
	case *ast.MappingNode:
		out.kind = kindMapping
		b.pairs(&out, n.Values, depth)
	case *ast.MappingValueNode:
		out.kind = kindMapping
		b.pairs(&out, []*ast.MappingValueNode{n}, depth)
	case *ast.AnchorNode:
		if n.Name != nil {
			b.anchors[n.Name.GetToken().Value] = n.Value
		}
		return b.node(n.Value, depth+1)
	case *ast.AliasNode:
		// An anchor inside itself ends at maxDepth.
		if n.Value != nil {
			if target, ok := b.anchors[n.Value.GetToken().Value]; ok {
				return b.node(target, depth+1)
			}
		}
		b.notYAML(line, "an alias has no anchor before it")
		out.kind = kindInvalid
	default:
		b.notYAML(line, "tags and other special values are not supported")
		out.kind = kindInvalid
	}
	return out
}

func (b *treeBuilder) pairs(out *node, values []*ast.MappingValueNode, depth int) {
	first := map[string]string{}
	for _, v := range values {
		tk := v.Key.GetToken()
		where := fmt.Sprintf("%s:%d", b.file, tk.Position.Line)
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			b.notYAML(tk.Position.Line, "a key is not plain text (merge keys and complex keys are not supported)")
			continue
		}
		if before, dup := first[key.Value]; dup {
			b.report(idDuplicateKey, tk.Position.Line, fmt.Sprintf("%s is written twice, first at %s", show(key.Value), before),
				"keep one of them")
			continue
		}
		first[key.Value] = where
		out.pairs = append(out.pairs, pair{key: key.Value, where: where, value: b.node(v.Value, depth+1)})
	}
}
