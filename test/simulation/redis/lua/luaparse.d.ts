declare module 'luaparse' {
  interface Options {
    readonly luaVersion: '5.1';
    readonly encodingMode: 'pseudo-latin1';
    readonly comments: boolean;
  }
  const luaparse: { parse(source: string, options: Options): object };
  export default luaparse;
}
