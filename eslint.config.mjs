// Check the scripts: `npx eslint g2pdiff`.

const browser = [
  'MutationObserver', 'ResizeObserver', 'TextDecoder', 'URLSearchParams', 'document', 'getComputedStyle', 'globalThis',
  'history', 'innerHeight', 'location', 'matchMedia', 'navigator', 'parent', 'prompt', 'window',
];
const widget = ['element', 'props', 'trigger', 'watch', 'Plotly'];  // what Gradio gives a script of a widget
const known = names => Object.fromEntries(names.map(name => [name, 'readonly']));

export default [
  {
    files: ['g2pdiff/ui/static/js/*.js'],
    languageOptions: {ecmaVersion: 2024, sourceType: 'script', globals: known([...browser, ...widget])},
    rules: {
      'eqeqeq': 'error',
      'no-redeclare': 'error',
      'no-undef': 'error',
      'no-unreachable': 'error',
      'no-unused-vars': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
];
