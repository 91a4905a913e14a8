/**
 * Loaded into jest's workers before all else. Every test file has all modules to itself, and V8 would compile the same text anew
 * for each: what it made of a text for the first file is kept and handed to it for the next ones. They run what they would have
 * run; a text that differs in anything is another one.
 */
import vm from 'node:vm';

// Node's own types leave it out.
declare module 'node:vm' {
  interface SourceTextModule {
    createCachedData(): Buffer;
  }
}

if (process.env['JEST_WORKER_ID']) {
  const compiled = new Map<string, Buffer>();

  vm.SourceTextModule = class extends vm.SourceTextModule {
    constructor(text: string, options?: vm.SourceTextModuleOptions) {
      const cachedData = compiled.get(text);
      super(text, cachedData ? { ...options, cachedData } : options);
      if (!cachedData) compiled.set(text, this.createCachedData());
    }
  };

  const { compileFunction } = vm;
  vm.compileFunction = (text, parameters, options) => {
    const cachedData = compiled.get(text);
    const made = compileFunction(text, parameters, {
      ...options,
      ...(cachedData ? { cachedData } : { produceCachedData: true }),
    });
    if (made.cachedData) compiled.set(text, made.cachedData);
    return made;
  };
}
