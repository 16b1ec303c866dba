/**
 * Compiles Lua 5.1 to a JavaScript function. The simulation runs the scripts that nodes ship, not a copy of what they do, and as
 * JavaScript they take a few microseconds. Interpreters from npm speak later versions of Lua: their integers are a type of their
 * own (of 32 bits, in the one written in JavaScript), where those of Redis are doubles. So only the parser is theirs.
 *
 * What scripts of nodes do not use is refused: loops over pairs, metatables, `goto`, coroutines.
 */
import luaparse from 'luaparse';
import * as runtime from './runtime.ts';
import type { LuaFunction, Value } from './values.ts';

// biome-ignore lint/suspicious/noExplicitAny: the fields of a node follow from its `type`, which luaparse does not declare.
type Node = any;

/** Takes the globals of the script, and returns the script as a function. */
export type Compiled = (globals: Readonly<Record<string, Value>>) => LuaFunction;

export function compile(source: string): Compiled {
  // The first line may name flags, which are Redis's.
  const text = source.startsWith('#!') ? source.replace(/^[^\n]*/, '') : source;
  const tree: Node = luaparse.parse(text, {
    luaVersion: '5.1',
    encodingMode: 'pseudo-latin1',
    comments: false,
  });
  const names = Object.keys(runtime);
  const code = new Compiler().chunk(tree);
  const make = new Function(`{ ${names.join(', ')} }`, `return (G) => ${code};`);
  return make(runtime) as Compiled;
}

const COMPARISONS: Readonly<Record<string, (a: string, b: string) => string>> = {
  '==': (a, b) => `(${a} === ${b})`,
  '~=': (a, b) => `(${a} !== ${b})`,
  '<': (a, b) => `less(${a}, ${b})`,
  '<=': (a, b) => `atMost(${a}, ${b})`,
  '>': (a, b) => `less(${b}, ${a})`,
  '>=': (a, b) => `atMost(${b}, ${a})`,
};

/** What stands on the left of an assignment. */
interface Target {
  /** Evaluates it. */
  readonly before: string;
  assign(value: string): string;
}

class Compiler {
  readonly #scopes: Map<string, string>[] = [];
  #number = 0;
  /** Temporary variables of each function that is being compiled. */
  readonly #temporaries: string[][] = [];

  chunk(tree: Node): string {
    return this.#function([], tree.body);
  }

  #function(parameters: readonly Node[], body: readonly Node[]): string {
    this.#temporaries.push([]);
    this.#scopes.push(new Map());
    const names = parameters.map((one) => {
      if (one.type !== 'Identifier') throw new Error('a script with variable arguments');
      return this.#declare(one.name);
    });
    const statements = this.#statements(body);
    this.#scopes.pop();
    const temporaries = this.#temporaries.pop() ?? [];
    const declared = temporaries.length > 0 ? `let ${temporaries.join(', ')};` : '';
    return `((${names.join(', ')}) => { ${declared} ${statements} return []; })`;
  }

  #block(body: readonly Node[]): string {
    this.#scopes.push(new Map());
    const code = this.#statements(body);
    this.#scopes.pop();
    return `{ ${code} }`;
  }

  #statements(body: readonly Node[]): string {
    return body.map((statement) => this.#statement(statement)).join('\n');
  }

  #statement(node: Node): string {
    switch (node.type) {
      case 'LocalStatement':
        return this.#local(node);
      case 'AssignmentStatement':
        return this.#assignment(node);
      case 'CallStatement':
        return `${this.#call(node.expression)};`;
      case 'ReturnStatement':
        return `return ${this.#list(node.arguments)};`;
      case 'FunctionDeclaration':
        return this.#namedFunction(node);
      case 'IfStatement':
        return this.#if(node);
      case 'WhileStatement':
        return `while (${this.#condition(node.condition)}) ${this.#block(node.body)}`;
      case 'ForNumericStatement':
        return this.#for(node);
      case 'DoStatement':
        return this.#block(node.body);
      case 'BreakStatement':
        return 'break;';
      default:
        throw new Error(`a script with a ${node.type}`);
    }
  }

  #local({ variables, init }: Node): string {
    // The values are those of the scope before.
    if (variables.length === 1 && init.length <= 1) {
      const value = init.length === 1 ? this.#value(init[0]) : 'undefined';
      return `let ${this.#declare(variables[0].name)} = ${value};`;
    }
    const values = this.#list(init);
    const names = variables.map(({ name }: Node) => this.#declare(name));
    return `let [${names.join(', ')}] = ${values};`;
  }

  #assignment({ variables, init }: Node): string {
    if (variables.length === 1 && init.length === 1) return this.#assign(variables[0], this.#value(init[0]));
    // Everything is evaluated before anything is assigned, what stands on the left too.
    const all = this.#temporary();
    const targets = variables.map((variable: Node) => this.#target(variable));
    const assigned = targets.map(({ assign }: Target, i: number) => assign(`${all}[${i}]`));
    return `${targets.map(({ before }: Target) => before).join(' ')} ${all} = ${this.#list(init)}; ${assigned.join(' ')}`;
  }

  #target(variable: Node): Target {
    if (variable.type === 'Identifier')
      return { before: '', assign: (value) => this.#assign(variable, value) };
    const [base, key] = [this.#temporary(), this.#temporary()];
    const before = `${base} = ${this.#value(variable.base)}; ${key} = ${this.#keyOf(variable)};`;
    return { before, assign: (value) => `set(${base}, ${key}, ${value});` };
  }

  #assign(variable: Node, value: string): string {
    if (variable.type !== 'Identifier') {
      return `set(${this.#value(variable.base)}, ${this.#keyOf(variable)}, ${value});`;
    }
    const name = this.#resolve(variable.name);
    if (name === null) throw new Error(`a script that sets the global ${variable.name}`);
    return `${name} = ${value};`;
  }

  #keyOf(variable: Node): string {
    return variable.type === 'MemberExpression'
      ? JSON.stringify(variable.identifier.name)
      : this.#value(variable.index);
  }

  #namedFunction({ identifier, isLocal, parameters, body }: Node): string {
    if (!isLocal || identifier === null) throw new Error('a script with a global function');
    const name = this.#declare(identifier.name);
    return `const ${name} = ${this.#function(parameters, body)};`;
  }

  #if({ clauses }: Node): string {
    return clauses
      .map((clause: Node) => {
        const block = this.#block(clause.body);
        if (clause.type === 'ElseClause') return block;
        return `if (${this.#condition(clause.condition)}) ${block}`;
      })
      .join(' else ');
  }

  #for({ variable, start, end, step, body }: Node): string {
    const [from, to, by] = [this.#value(start), this.#value(end), step ? this.#value(step) : '1'];
    const [at, last, stride] = [this.#fresh('at'), this.#fresh('last'), this.#fresh('stride')];
    this.#scopes.push(new Map());
    const name = this.#declare(variable.name);
    const statements = this.#statements(body);
    this.#scopes.pop();
    const goesOn = `${stride} > 0 ? ${at} <= ${last} : ${at} >= ${last}`;
    const head = `let ${at} = num(${from}), ${last} = num(${to}), ${stride} = num(${by}); ${goesOn}; ${at} += ${stride}`;
    return `for (${head}) { let ${name} = ${at}; ${statements} }`;
  }

  // ---- expressions ---------------------------------------------------------------------------------------

  /** As JavaScript's own idea of true. */
  #condition(node: Node): string {
    const compared = COMPARISONS[node.operator];
    if (node.type === 'BinaryExpression' && compared) return this.#value(node);
    if (node.type === 'LogicalExpression') {
      const operator = node.operator === 'and' ? '&&' : '||';
      return `(${this.#condition(node.left)} ${operator} ${this.#condition(node.right)})`;
    }
    if (node.type === 'UnaryExpression' && node.operator === 'not')
      return `!${this.#condition(node.argument)}`;
    return `isTrue(${this.#value(node)})`;
  }

  #value(node: Node): string {
    switch (node.type) {
      case 'NilLiteral':
        return 'undefined';
      case 'BooleanLiteral':
      case 'NumericLiteral':
        return String(node.value);
      case 'StringLiteral':
        return JSON.stringify(node.value);
      case 'Identifier':
        return this.#resolve(node.name) ?? `G.${node.name}`;
      case 'MemberExpression':
        return `get(${this.#value(node.base)}, ${JSON.stringify(node.identifier.name)})`;
      case 'IndexExpression':
        return `get(${this.#value(node.base)}, ${this.#value(node.index)})`;
      case 'CallExpression':
      case 'StringCallExpression':
      case 'TableCallExpression':
        return `${this.#call(node)}[0]`;
      case 'FunctionDeclaration':
        return this.#function(node.parameters, node.body);
      case 'TableConstructorExpression':
        return this.#table(node);
      case 'LogicalExpression':
        return this.#logical(node);
      case 'BinaryExpression':
        return this.#binary(node);
      case 'UnaryExpression':
        return this.#unary(node);
      default:
        throw new Error(`a script with a ${node.type}`);
    }
  }

  #logical({ operator, left, right }: Node): string {
    const first = this.#temporary();
    const [value, other] = [this.#value(left), this.#value(right)];
    const isTrue = `((${first} = ${value}) !== undefined && ${first} !== false)`;
    return operator === 'and' ? `(${isTrue} ? ${other} : ${first})` : `(${isTrue} ? ${first} : ${other})`;
  }

  #binary({ operator, left, right }: Node): string {
    const [a, b] = [this.#value(left), this.#value(right)];
    const compared = COMPARISONS[operator];
    if (compared) return compared(a, b);
    if (operator === '..') return `cat(${a}, ${b})`;
    if (operator === '%') return `mod(num(${a}), num(${b}))`;
    if (operator === '^') return `(num(${a}) ** num(${b}))`;
    return `(num(${a}) ${operator} num(${b}))`;
  }

  #unary({ operator, argument }: Node): string {
    if (operator === 'not') return `(!${this.#condition(argument)})`;
    const value = this.#value(argument);
    return operator === '#' ? `len(${value})` : `(-num(${value}))`;
  }

  #table({ fields }: Node): string {
    const values = fields.filter(({ type }: Node) => type === 'TableValue');
    const keyed = fields.filter(({ type }: Node) => type !== 'TableValue');
    const list =
      values.length > 0 ? `list(${this.#list(values.map(({ value }: Node) => value))})` : 'new Table()';
    if (keyed.length === 0) return list;
    const table = this.#temporary();
    const sets = keyed.map(({ type, key, value }: Node) => {
      const name = type === 'TableKeyString' ? JSON.stringify(key.name) : this.#value(key);
      return `set(${table}, ${name}, ${this.#value(value)})`;
    });
    return `(${table} = ${list}, ${sets.join(', ')}, ${table})`;
  }

  #call(node: Node): string {
    if (node.base.type === 'MemberExpression' && node.base.indexer === ':') throw new Error('a method call');
    const args =
      node.type === 'CallExpression'
        ? node.arguments
        : [node.type === 'StringCallExpression' ? node.argument : node.arguments];
    return `call(${this.#value(node.base)}, ${this.#list(args)})`;
  }

  /** Several values, of which the last may be many. */
  #list(nodes: readonly Node[]): string {
    const values = nodes.map((node, i) => {
      const isMany = node.type === 'CallExpression' && i === nodes.length - 1;
      return isMany ? `...${this.#call(node)}` : this.#value(node);
    });
    return `[${values.join(', ')}]`;
  }

  // ---- names ---------------------------------------------------------------------------------------------

  #fresh(name: string): string {
    return `${name}$${++this.#number}`;
  }

  #declare(name: string): string {
    const unique = this.#fresh(name);
    this.#scopes.at(-1)?.set(name, unique);
    return unique;
  }

  #resolve(name: string): string | null {
    return this.#scopes.findLast((scope) => scope.has(name))?.get(name) ?? null;
  }

  #temporary(): string {
    const name = this.#fresh('t');
    this.#temporaries.at(-1)?.push(name);
    return name;
  }
}
