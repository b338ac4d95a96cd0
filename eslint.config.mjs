// What `make lint` holds the studio's modules to: ESLint's recommended rules, with the names that browsers and modules know.
import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["**/vendor/**", "**/.vendor-*/**", "build/**", "dist/**"] },
  js.configs.recommended,
  {
    files: ["wsgi/mp3_slicer/studio/*.js"],
    languageOptions: { ecmaVersion: 2022, sourceType: "module", globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: { eqeqeq: "error", "no-var": "error", "prefer-const": "error" },
  },
];
